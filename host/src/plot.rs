//! Pictures of measurements: panels in a grid, each with lines over axes that all panels share, as SVG and
//! PNG.
//!
//! The only user of plotters. It knows nothing of what was measured: values come with their labels.

mod canvas;
mod chart;
mod png;

pub use chart::{Bar, Bubble, Chart, Line};

use crate::error::{Blame, Exit, Explain};
use canvas::{COLOURS, MARGIN, Picture, axes, text, titles};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::{Path, PathBuf};

/// Of a panel, in pixels.
const PANEL: (u32, u32) = (460, 340);
const HEADER: u32 = 84;

/// A picture.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// How it was measured, in one line.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What each line is, in the order of every panel's lines.
    pub legend: Vec<String>,
    /// Left to right, then down.
    pub panels: Vec<Panel>,
}

/// An axis: values are given as positions on it.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// Marks in ascending order with what stands at them; the first and the last end the axis.
    pub marks: Vec<(f64, String)>,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Points of each line, by position.
    pub lines: Vec<Vec<(f64, f64)>>,
}

/// What a file is to contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines and text; any size.
    Svg,
    /// Pixels, twice as fine as the size in the SVG.
    Png,
}

/// A picture was not made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Something cannot be drawn.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Explain for PlotError {
    fn code(&self) -> &'static str {
        match self {
            Self::Draw(_) => "plot",
            Self::Write { .. } => "write",
        }
    }
    fn blame(&self) -> Blame {
        match self {
            Self::Draw(_) => Blame::Host,
            Self::Write { .. } => Blame::Caller,
        }
    }
    fn exit(&self) -> Exit {
        match self {
            Self::Draw(_) => Exit::HostFault,
            Self::Write { .. } => Exit::Usage,
        }
    }
}

fn draw_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

impl Axis {
    /// Marks at powers of ten and at twice and five times each, around `least` to `most`, by logarithm.
    pub fn logarithmic(label: &str, least: f64, most: f64) -> Self {
        let (least, most) = (least.max(1e-6), most.max(least).max(1e-6));
        let first = least.log10().floor() as i32;
        let last = most.log10().ceil() as i32;
        let values =
            (first..=last).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)));
        let values: Vec<f64> = values.collect();
        let from = values
            .iter()
            .rposition(|value| *value <= least)
            .unwrap_or(0);
        let to = values.iter().position(|value| *value >= most);
        let to = to.unwrap_or(values.len() - 1).max(from + 1);
        let mark = |value: &f64| (value.log10(), number(*value));
        let marks = values[from..=to.min(values.len() - 1)].iter().map(mark);
        Self {
            label: label.to_owned(),
            marks: marks.collect(),
        }
    }

    fn text_at(&self, position: f64) -> String {
        let near = |(at, _): &&(f64, String)| (at - position).abs() < 1e-9;
        self.marks
            .iter()
            .find(near)
            .map_or_else(String::new, |(_, text)| text.clone())
    }
}

/// `0.05`, `2`, `1000`.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}

impl Figure {
    fn columns(&self) -> u32 {
        match self.panels.len() {
            0 | 1 => 1,
            2 | 4 => 2,
            _ => 3,
        }
    }

    /// The picture as a file's content.
    pub fn draw(&self, format: Format) -> Result<Vec<u8>, PlotError> {
        canvas::draw(self, format)
    }

    /// Writes the picture.
    pub fn save(&self, path: &Path, format: Format) -> Result<(), PlotError> {
        canvas::save(self, path, format)
    }

    fn header<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> Result<(), PlotError> {
        titles(area, [&self.title, &self.subtitle], scale)?;
        let at = |x: u32, y: u32| ((x * scale) as i32, (y * scale) as i32);
        let mut x = 2 * MARGIN;
        for (name, colour) in self.legend.iter().zip(COLOURS) {
            let line = vec![at(x, 66), at(x + 26, 66)];
            area.draw(&PathElement::new(line, stroke(colour, scale)))
                .map_err(draw_error)?;
            area.draw_text(name, &text(13, scale), at(x + 34, 59))
                .map_err(draw_error)?;
            let (width, _) = area
                .estimate_text_size(name, &text(13, scale))
                .map_err(draw_error)?;
            x += 34 + width / scale + 30;
        }
        Ok(())
    }

    fn panel<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        panel: &Panel,
        scale: u32,
    ) -> Result<(), PlotError> {
        let mut chart = ChartBuilder::on(area);
        chart
            .caption(&panel.title, text(15, scale))
            .margin(8 * scale)
            .x_label_area_size(38 * scale)
            .y_label_area_size(52 * scale);
        let mut chart = axes(&mut chart, [&self.x, &self.y], scale)?;
        for (points, colour) in panel.lines.iter().zip(COLOURS) {
            let line = LineSeries::new(points.iter().copied(), stroke(colour, scale));
            chart.draw_series(line).map_err(draw_error)?;
        }
        Ok(())
    }
}

impl Picture for Figure {
    fn size(&self) -> (u32, u32) {
        let panels = u32::try_from(self.panels.len()).unwrap_or(1).max(1);
        let rows = panels.div_ceil(self.columns());
        (
            PANEL.0 * self.columns() + 2 * MARGIN,
            HEADER + PANEL.1 * rows + MARGIN,
        )
    }

    fn paint<B: DrawingBackend>(
        &self,
        root: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> Result<(), PlotError> {
        let (header, body) = root.split_vertically(HEADER * scale);
        self.header(&header, scale)?;
        let margin = MARGIN * scale;
        let body = body.margin(0, margin, margin, margin);
        let columns = self.columns() as usize;
        let rows = self.panels.len().div_ceil(columns).max(1);
        for (area, panel) in body.split_evenly((rows, columns)).iter().zip(&self.panels) {
            self.panel(area, panel, scale)?;
        }
        Ok(())
    }
}

fn stroke(colour: RGBColor, scale: u32) -> ShapeStyle {
    colour.stroke_width(2 * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        Figure {
            title: "A title".to_owned(),
            subtitle: "how it was measured".to_owned(),
            x: Axis {
                label: "of requests".to_owned(),
                marks: vec![(0.0, "0 %".to_owned()), (1.0, "100 %".to_owned())],
            },
            y: Axis::logarithmic("ms", 3.0, 180.0),
            legend: vec!["one".to_owned(), "two".to_owned()],
            panels: vec![Panel {
                title: "A panel".to_owned(),
                lines: vec![vec![(0.0, 0.7), (1.0, 1.0)], vec![(0.0, 1.0), (1.0, 2.0)]],
            }],
        }
    }

    #[test]
    fn logarithmic_marks_surround_the_values() {
        let marks = |least, most| {
            let axis = Axis::logarithmic("ms", least, most);
            axis.marks
                .into_iter()
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(marks(3.0, 180.0), "2 5 10 20 50 100 200");
        assert_eq!(marks(0.07, 0.1), "0.05 0.1");
        assert_eq!(marks(10.0, 10.0), "10 20");
    }

    #[test]
    fn every_word_and_every_line_is_in_the_picture() {
        let svg = String::from_utf8(figure().draw(Format::Svg).unwrap()).unwrap();
        for word in [
            "A title",
            "how it was measured",
            "A panel",
            "one",
            "two",
            "100 %",
            "200",
        ] {
            assert!(svg.contains(word), "{word}");
        }
        for colour in ["#0072B2", "#E69F00"] {
            assert!(svg.contains(colour), "{colour}");
        }
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_is_not_empty() {
        let file = figure().draw(Format::Png).unwrap();
        let (width, height) = figure().size();
        assert_eq!(file[16..20], (2 * width).to_be_bytes());
        assert_eq!(file[20..24], (2 * height).to_be_bytes());
        let inked = file.len();
        assert!(inked > 2_000, "{inked}");
    }
}
