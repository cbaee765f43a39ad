//! A reader that makes the tokenizer come up for air. html5gum goes from one quoted attribute to the next by
//! direct calls, so that a thousand of them in one tag would overflow the stack; an error in between brings it
//! back, with nothing read and nothing lost.

use html5gum::Reader;

/// Reads a page. Stops once before each quotation mark that the tokenizer looks for.
#[derive(Debug)]
pub(super) struct Paced<'a> {
    rest: &'a [u8],
    paused: bool,
}

/// Not an error: ask again.
#[derive(Debug, thiserror::Error)]
#[error("the tokenizer is to go on from where it is")]
pub(super) struct Pause;

impl<'a> Paced<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self {
            rest: html.as_bytes(),
            paused: false,
        }
    }
}

impl Reader for Paced<'_> {
    type Error = Pause;

    fn read_byte(&mut self) -> Result<Option<u8>, Pause> {
        let Some((&first, rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        self.rest = rest;
        Ok(Some(first))
    }

    fn read_until<'b>(
        &'b mut self,
        needle: &[u8],
        _: &'b mut [u8; 4],
    ) -> Result<Option<&'b [u8]>, Pause> {
        let Some(first) = self.rest.first() else {
            return Ok(None);
        };
        self.paused = *first == b'"' && needle.contains(first) && !self.paused;
        if self.paused {
            return Err(Pause);
        }
        let found = self.rest.iter().position(|byte| needle.contains(byte));
        let length = found.unwrap_or(self.rest.len()).max(1);
        let (chunk, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(Some(chunk))
    }

    fn try_read_string(&mut self, wanted: &[u8], case_sensitive: bool) -> Result<bool, Pause> {
        let Some((found, rest)) = self.rest.split_at_checked(wanted.len()) else {
            return Ok(false);
        };
        let equal = found == wanted || (!case_sensitive && found.eq_ignore_ascii_case(wanted));
        if equal {
            self.rest = rest;
        }
        Ok(equal)
    }
}
