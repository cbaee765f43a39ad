//! What every picture is drawn on: vectors or pixels, in a font that is the same everywhere, with axes that have lines
//! where their marks are.
//!
//! It knows nothing of what stands between the axes.

use super::{Axis, Format, PlotError, draw_error, png};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::{FontStyle, TextStyle, register_font};
use std::path::Path;
use std::sync::OnceLock;

/// DejaVu Sans, cut down to what English text needs: a PNG looks alike on every machine.
const FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
const FAMILY: &str = "sans-serif";

/// Around a picture, in pixels.
pub(super) const MARGIN: u32 = 14;

/// Blue, orange, vermilion, green: told apart by people who see few colours, and in grey.
pub(super) const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(192, 57, 11),
    RGBColor(0, 158, 115),
];
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// What can be drawn in any format.
pub(super) trait Picture {
    /// Width and height in pixels, at a scale of 1.
    fn size(&self) -> (u32, u32);

    /// Draws with every length `scale` times as long, on white.
    fn paint<B: DrawingBackend>(
        &self,
        root: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> Result<(), PlotError>;
}

/// The picture as a file's content.
pub(super) fn draw(picture: &impl Picture, format: Format) -> Result<Vec<u8>, PlotError> {
    font()?;
    let (width, height) = picture.size();
    match format {
        Format::Svg => {
            let mut text = String::new();
            let root = SVGBackend::with_string(&mut text, (width, height));
            paint(picture, root, 1)?;
            Ok(text.into_bytes())
        }
        Format::Png => {
            let (width, height) = (2 * width, 2 * height);
            let mut pixels = vec![255; 3 * width as usize * height as usize];
            let root = BitMapBackend::with_buffer(&mut pixels, (width, height));
            paint(picture, root, 2)?;
            Ok(png::encode(&pixels, width, height))
        }
    }
}

fn paint<B: DrawingBackend>(
    picture: &impl Picture,
    backend: B,
    scale: u32,
) -> Result<(), PlotError> {
    let root = backend.into_drawing_area();
    root.fill(&WHITE).map_err(draw_error)?;
    picture.paint(&root, scale)?;
    root.present().map_err(draw_error)
}

/// Writes the picture.
pub(super) fn save(picture: &impl Picture, path: &Path, format: Format) -> Result<(), PlotError> {
    let content = draw(picture, format)?;
    std::fs::write(path, content).map_err(|source| PlotError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Text of this size.
pub(super) fn text(size: u32, scale: u32) -> TextStyle<'static> {
    (FAMILY, size * scale).into_font().color(&INK)
}

/// What the picture shows, and below it how that was measured.
pub(super) fn titles<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    [title, subtitle]: [&str; 2],
    scale: u32,
) -> Result<(), PlotError> {
    for (line, size, down) in [(title, 20, 12), (subtitle, 12, 38)] {
        let at = [2 * MARGIN, down].map(|length| (length * scale) as i32);
        area.draw_text(line, &text(size, scale), at.into())
            .map_err(draw_error)?;
    }
    Ok(())
}

/// A pair of axes with their marks and labels, in the room that `chart` leaves.
pub(super) fn axes<'a, B: DrawingBackend>(
    chart: &mut ChartBuilder<'a, '_, B>,
    [x, y]: [&Axis; 2],
    scale: u32,
) -> Result<ChartContext<'a, B, Cartesian2d<Marks, Marks>>, PlotError> {
    let mut chart = chart
        .build_cartesian_2d(Marks::of(x), Marks::of(y))
        .map_err(draw_error)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(scale))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.stroke_width(scale))
        .x_desc(&x.label)
        .y_desc(&y.label)
        .axis_desc_style(text(12, scale))
        .label_style(text(11, scale))
        .x_label_formatter(&|at| x.text_at(*at))
        .y_label_formatter(&|at| y.text_at(*at))
        .draw()
        .map_err(draw_error)?;
    Ok(chart)
}

/// An axis for plotters: lines where the marks are, and nowhere else.
pub(super) struct Marks(Vec<f64>);

impl Marks {
    fn of(axis: &Axis) -> Self {
        Self(axis.marks.iter().map(|(at, _)| *at).collect())
    }
}

impl Ranged for Marks {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let range = self.range();
        let part = (value - range.start) / (range.end - range.start);
        let pixels = f64::from(limit.1 - limit.0);
        limit.0 + (part * pixels).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.0.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        let first = self.0.first().copied().unwrap_or(0.0);
        first
            ..self
                .0
                .last()
                .copied()
                .filter(|last| *last > first)
                .unwrap_or(first + 1.0)
    }
}

/// Makes the font known, once.
fn font() -> Result<(), PlotError> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let register = || register_font(FAMILY, FontStyle::Normal, FONT).is_ok();
    match KNOWN.get_or_init(register) {
        true => Ok(()),
        false => Err(PlotError::Draw("the font is damaged".to_owned())),
    }
}
