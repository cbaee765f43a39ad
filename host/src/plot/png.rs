//! Pixels as a PNG file, for pictures of lines on white: what is alike along and across rows is written
//! as runs. It compresses nothing else, and reads nothing.

/// A file of `width` by `height` pixels of three bytes each, rows from the top.
pub(super) fn encode(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // 8 bits a colour, red green blue, the only compression and filter method, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut file, *b"IHDR", &header);
    chunk(
        &mut file,
        *b"IDAT",
        &zlib(&filtered(pixels, 3 * width as usize)),
    );
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    file.extend(length.to_be_bytes());
    let from = file.len();
    file.extend(name);
    file.extend(content);
    let sum = crc32(&file[from..]);
    file.extend(sum.to_be_bytes());
}

/// Each row less the one above it (filter 2): where a picture does not change, nothing but zeros.
fn filtered(pixels: &[u8], row: usize) -> Vec<u8> {
    let mut above = vec![0; row];
    let mut bytes = Vec::with_capacity(pixels.len() + pixels.len() / row.max(1));
    for line in pixels.chunks(row.max(1)) {
        bytes.push(2);
        bytes.extend(
            line.iter()
                .zip(&above)
                .map(|(byte, above)| byte.wrapping_sub(*above)),
        );
        above.copy_from_slice(line);
    }
    bytes
}

/// A zlib stream of one block with fixed codes (RFC 1950, RFC 1951).
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = Bits(vec![0x78, 0x01], 0);
    out.low_first(1, 1);
    out.low_first(1, 2);
    let mut at = 0;
    while at < bytes.len() {
        out.literal(u32::from(bytes[at]));
        let run = bytes[at + 1..]
            .iter()
            .take_while(|byte| **byte == bytes[at])
            .count();
        at += 1;
        let mut left = run;
        while left >= RUN_MIN {
            let length = left.min(RUN_MAX);
            out.run(length);
            at += length;
            left -= length;
        }
    }
    out.literal(END);
    out.0.extend(adler32(bytes).to_be_bytes());
    out.0
}

const END: u32 = 256;
const RUN_MIN: usize = 3;
const RUN_MAX: usize = 258;

/// Bits, the first one lowest; how many of the last byte are free.
struct Bits(Vec<u8>, u32);

impl Bits {
    fn low_first(&mut self, value: u32, count: u32) {
        for place in 0..count {
            if self.1 == 0 {
                self.0.push(0);
                self.1 = 8;
            }
            if let Some(last) = self.0.last_mut() {
                *last |= u8::from(value >> place & 1 == 1) << (8 - self.1);
            }
            self.1 -= 1;
        }
    }

    /// Codes stand with their highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.low_first(code.reverse_bits() >> (32 - count), count);
    }

    /// A byte, the end, or a length's symbol.
    fn literal(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// The last byte `length` times more.
    fn run(&mut self, length: usize) {
        let (symbol, extra, bits) = run_symbol(length);
        self.literal(symbol);
        self.low_first(extra, bits);
        // The distance's symbol: one back.
        self.code(0, 5);
    }
}

/// A length's symbol, and what is added to it in how many bits.
fn run_symbol(length: usize) -> (u32, u32, u32) {
    let offset = length as u32 - RUN_MIN as u32;
    match offset {
        0..8 => (257 + offset, 0, 0),
        255 => (285, 0, 0),
        _ => {
            // Four symbols for each number of extra bits.
            let bits = offset.ilog2() - 2;
            let quarter = (offset >> bits) - 4;
            (261 + 4 * bits + quarter, offset & ((1 << bits) - 1), bits)
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn adler32(bytes: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), step);
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_published_ones() {
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn run_symbols_are_those_of_the_standard() {
        for (length, symbol) in [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 0, 1)),
            (18, (268, 1, 1)),
            (19, (269, 0, 2)),
            (114, (279, 15, 4)),
            (115, (280, 0, 4)),
            (257, (284, 30, 5)),
            (258, (285, 0, 0)),
        ] {
            assert_eq!(run_symbol(length), symbol, "{length}");
        }
    }

    #[test]
    fn streams_are_what_another_decoder_reads() {
        // Python's zlib.decompress gives these bytes back.
        assert_eq!(zlib(b""), [0x78, 0x01, 0x03, 0, 0, 0, 0, 1]);
        assert_eq!(
            zlib(&[0; 259])[2..],
            [0x63, 0x18, 0x05, 0x00, 0x01, 0x03, 0x00, 0x01]
        );
        let mixed = [&[200; 20][..], b"ab"].concat();
        assert_eq!(
            zlib(&mixed)[2..],
            [
                0x3b, 0x81, 0x05, 0x24, 0x26, 0x01, 0x00, 0xc4, 0x8a, 0x10, 0x64
            ]
        );
    }

    #[test]
    fn a_file_has_its_size_and_its_parts() {
        let file = encode(&[255; 3 * 4 * 2], 4, 2);
        assert!(
            file.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x04\0\0\0\x02\x08\x02\0\0\0")
        );
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    }
}
