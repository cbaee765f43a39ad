//! Single charts: bars with names beside them, bubbles and lines with names to their right. It knows nothing of what was
//! measured.

use super::canvas::{self, COLOURS, INK, MARGIN, Marks, Picture, axes, text, titles};
use super::{Axis, Format, PlotError, draw_error};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH: u32 = 860;
const HEADER: u32 = 64;

/// Height of a chart without bars, and of one bar with its room.
const HEIGHT: u32 = 470;
const BAR: u32 = 34;

/// One picture with one pair of axes.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// How it was measured, in one line.
    pub subtitle: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; its marks are the bars' names where there are bars.
    pub y: Axis,
    /// From the left; empty where the chart has others.
    pub bars: Vec<Bar>,
    /// Circles.
    pub bubbles: Vec<Bubble>,
    /// Lines.
    pub lines: Vec<Line>,
}

/// A bar from the left.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its position on the vertical axis.
    pub at: f64,
    /// Where it ends.
    pub to: f64,
    /// The least and the most, as a thin line.
    pub spread: (f64, f64),
    /// Which colour, by number; numbers that are too large begin again.
    pub colour: usize,
}

/// A circle with a name beside it.
#[derive(Debug, Clone)]
pub struct Bubble {
    /// Its middle.
    pub at: (f64, f64),
    /// Its radius, in pixels.
    pub radius: f64,
    /// What it is.
    pub name: String,
    /// As for [`Bar`].
    pub colour: usize,
}

/// A line with points.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is; stands at its right end.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    /// As for [`Bar`].
    pub colour: usize,
}

impl Axis {
    /// Marks at round numbers from zero to beyond `most`.
    pub fn linear(label: &str, most: f64) -> Self {
        Self::between(label, 0.0, most)
    }

    /// Marks at round numbers around `least` to `most`.
    pub fn between(label: &str, least: f64, most: f64) -> Self {
        let range = match most - least {
            range if range.is_finite() && range > 0.0 => range,
            _ => 1.0,
        };
        let power = 10f64.powf((range / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
        let step = steps.into_iter().find(|step| range / step <= 6.0);
        let step = step.unwrap_or(10.0 * power);
        let first = (least / step).floor();
        let count = ((least + range) / step - first).ceil().max(1.0) as u32;
        let mark = |n: u32| {
            let at = (first + f64::from(n)) * step;
            (at, super::number(at))
        };
        Self {
            label: label.to_owned(),
            marks: (0..=count).map(mark).collect(),
        }
    }

    /// With room behind the last mark, as long as this part of the axis: for names.
    pub fn with_room(mut self, part: f64) -> Self {
        let end = self.last() + part * self.length();
        self.marks.push((end, String::new()));
        self
    }

    fn last(&self) -> f64 {
        self.marks.last().map_or(1.0, |(at, _)| *at)
    }

    fn length(&self) -> f64 {
        let first = self.marks.first().map_or(0.0, |(at, _)| *at);
        self.last() - first
    }

    /// Names in places 0, 1, 2 and so on, with half a place of room at both ends.
    pub fn names(names: &[String]) -> Self {
        let named = names.iter().enumerate();
        let mut marks = vec![(-0.5, String::new())];
        marks.extend(named.map(|(place, name)| (place as f64, name.clone())));
        marks.push((names.len() as f64 - 0.5, String::new()));
        Self {
            label: String::new(),
            marks,
        }
    }
}

impl Picture for Chart {
    fn size(&self) -> (u32, u32) {
        match self.bars.len() as u32 {
            0 => (WIDTH, HEADER + HEIGHT),
            bars => (WIDTH, HEADER + BAR * bars + 70),
        }
    }

    fn paint<B: DrawingBackend>(
        &self,
        root: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> Result<(), PlotError> {
        let (header, body) = root.split_vertically(HEADER * scale);
        titles(&header, [&self.title, &self.subtitle], scale)?;
        self.body(&body, scale)
    }
}

impl Chart {
    /// The picture as a file's content.
    pub fn draw(&self, format: Format) -> Result<Vec<u8>, PlotError> {
        canvas::draw(self, format)
    }

    /// Writes `NAME.svg` and `NAME.png` into a folder.
    pub fn save(&self, folder: &Path, name: &str) -> Result<(), PlotError> {
        for (format, extension) in [(Format::Svg, "svg"), (Format::Png, "png")] {
            canvas::save(self, &folder.join(format!("{name}.{extension}")), format)?;
        }
        Ok(())
    }

    fn body<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        scale: u32,
    ) -> Result<(), PlotError> {
        let longest = self.y.marks.iter().map(|(_, text)| text.len()).max();
        let names = 30 + 7 * u32::try_from(longest.unwrap_or(0)).unwrap_or(20);
        let mut chart = ChartBuilder::on(area);
        chart
            .margin(MARGIN * scale)
            .x_label_area_size(40 * scale)
            .y_label_area_size(names.max(52) * scale);
        let chart = axes(&mut chart, [&self.x, &self.y], scale)?;
        let area = chart.plotting_area();
        for bar in &self.bars {
            let corners = [(0.0, bar.at - 0.34), (bar.to, bar.at + 0.34)];
            let filled = colour(bar.colour).filled();
            area.draw(&Rectangle::new(corners, filled))
                .map_err(draw_error)?;
            let ends = [(bar.spread.0, bar.at), (bar.spread.1, bar.at)];
            let line = PathElement::new(ends, INK.stroke_width(scale));
            area.draw(&line).map_err(draw_error)?;
        }
        for bubble in &self.bubbles {
            let inside = colour(bubble.colour).mix(0.6).filled();
            let radius = (bubble.radius * f64::from(scale)).round() as i32;
            area.draw(&Circle::new(bubble.at, radius, inside))
                .map_err(draw_error)?;
        }
        for line in &self.lines {
            let style = colour(line.colour).stroke_width(2 * scale);
            let path = PathElement::new(line.points.clone(), style);
            area.draw(&path).map_err(draw_error)?;
            for point in &line.points {
                let dot = Circle::new(*point, 3 * scale as i32, colour(line.colour).filled());
                area.draw(&dot).map_err(draw_error)?;
            }
        }
        self.names(area, scale)
    }

    /// Each name to the right of what it names, as high as that or as much lower as the name above needs, with a line
    /// from one to the other.
    fn names<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Cartesian2d<Marks, Marks>>,
        scale: u32,
    ) -> Result<(), PlotError> {
        let bubbles = self.bubbles.iter();
        let bubbles = bubbles.map(|bubble| (bubble.at, &bubble.name, bubble.radius));
        let lines = self.lines.iter();
        let lines = lines.filter_map(|line| Some((*line.points.last()?, &line.name, 3.0)));
        let mut named: Vec<_> = bubbles.chain(lines).collect();
        named.sort_by(|(a, ..), (b, ..)| b.1.total_cmp(&a.1));
        let wanted = named.iter().map(|((_, y), ..)| *y);
        let heights = apart(wanted, NAME_HEIGHT * self.y.length());
        for (((x, y), name, radius), height) in named.into_iter().zip(heights) {
            let across = radius / f64::from(WIDTH);
            let beside = x + (across + NAME_BESIDE) * self.x.length();
            let line = PathElement::new([(x, y), (beside, height)], INK.stroke_width(scale));
            area.draw(&line).map_err(draw_error)?;
            let style = text(12, scale).pos(LEFT_OF_MIDDLE);
            let name = Text::new(format!(" {name}"), (beside, height), style);
            area.draw(&name).map_err(draw_error)?;
        }
        Ok(())
    }
}

/// Each height as it is wanted, or as much lower as it takes to be this far from the one before; highest first.
fn apart(wanted: impl Iterator<Item = f64>, distance: f64) -> Vec<f64> {
    let mut free = f64::INFINITY;
    let height = |wanted: f64| {
        let height = wanted.min(free);
        free = height - distance;
        height
    };
    wanted.map(height).collect()
}

/// How far to the right its name begins, and how far names are from each other, by the axis's length.
const NAME_BESIDE: f64 = 0.02;
const NAME_HEIGHT: f64 = 0.045;

/// A text begins at its place, at half its height.
const LEFT_OF_MIDDLE: Pos = Pos {
    h_pos: HPos::Left,
    v_pos: VPos::Center,
};

fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let names = ["first".to_owned(), "second-and-longer".to_owned()];
        Chart {
            title: "A title".to_owned(),
            subtitle: "how".to_owned(),
            x: Axis::linear("documents a second", 57.0),
            y: Axis::names(&names),
            bars: (0..2)
                .map(|at| Bar {
                    at: f64::from(at),
                    to: 40.0,
                    spread: (38.0, 41.0),
                    colour: 0,
                })
                .collect(),
            ..Chart::default()
        }
    }

    #[test]
    fn linear_marks_are_round_and_reach_beyond_the_most() {
        let marks = |most| {
            let axis = Axis::linear("", most);
            let texts = axis.marks.into_iter().map(|(_, text)| text);
            texts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(marks(57.0), "0 10 20 30 40 50 60");
        assert_eq!(marks(0.9), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(marks(1_048.0), "0 200 400 600 800 1000 1200");
        assert_eq!(marks(0.0), "0 0.2 0.4 0.6 0.8 1");
    }

    #[test]
    fn names_keep_their_distance() {
        let heights = apart([42.0, 38.5, 38.0, 38.0, 5.0].into_iter(), 4.0);
        assert_eq!(heights, [42.0, 38.0, 34.0, 30.0, 5.0]);
    }

    #[test]
    fn an_axis_may_begin_anywhere_and_have_room_for_names() {
        let axis = Axis::between("", 94.2, 100.0).with_room(0.5);
        let marks: Vec<f64> = axis.marks.iter().map(|(at, _)| *at).collect();
        assert_eq!(marks, [94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 100.0, 103.0]);
        assert_eq!(axis.marks[7].1, "");
    }

    #[test]
    fn bars_bubbles_and_lines_are_drawn_with_their_names() {
        let svg = |chart: &Chart| String::from_utf8(chart.draw(Format::Svg).unwrap()).unwrap();
        let bars = svg(&chart());
        for word in ["A title", "second-and-longer", "documents a second", "60"] {
            assert!(bars.contains(word), "{word}");
        }
        let chart = Chart {
            y: Axis::linear("y", 5.0),
            bars: vec![],
            bubbles: vec![Bubble {
                at: (10.0, 2.0),
                radius: 9.0,
                name: "a bubble".to_owned(),
                colour: 2,
            }],
            lines: vec![Line {
                name: "a line".to_owned(),
                points: vec![(0.0, 1.0), (50.0, 4.0)],
                colour: 3,
            }],
            ..chart()
        };
        let others = svg(&chart);
        for word in ["a bubble", "a line", "<circle", "<polyline"] {
            assert!(others.contains(word), "{word}");
        }
        assert!(chart.draw(Format::Png).unwrap().len() > 2_000);
    }
}
