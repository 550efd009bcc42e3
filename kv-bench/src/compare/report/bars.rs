//! The bar chart of a workload.

use super::{
    canvas::{Anchor, Canvas, Picture, Type, draw},
    ink::Ink,
    number::{self, capital},
    view::{Row, Section, View},
};
use crate::compare::{
    engine::{Result, Role},
    summary::Rival,
};

/// The width of a chart: so narrow that its text can be read where the page is narrow.
pub const WIDTH: f64 = 360.0;
/// From this factor between the medians on, the scale is logarithmic.
const LOGARITHMIC_FROM: f64 = 30.0;

const ROW: f64 = 22.0;
const BAR: f64 = 12.0;
const HEADING: f64 = 26.0;
const TOP: f64 = 22.0;
const SIZE: f64 = 13.0;
const SMALL: f64 = 11.5;

/// What a chart shows, with its measures.
pub struct Bars<'a> {
    view: &'a View<'a>,
    sections: Vec<(Section, Vec<Row<'a>>)>,
    scale: Scale,
    /// Where bars begin, and how long the longest can be.
    left: f64,
    length: f64,
}

impl<'a> Bars<'a> {
    /// All sections of a workload.
    pub fn all(view: &'a View<'a>) -> Self {
        Self::of(view, &Section::ALL)
    }

    /// Only what is ranked.
    pub fn ranked(view: &'a View<'a>) -> Self {
        Self::of(view, &[Section::Ranked])
    }

    fn of(view: &'a View<'a>, sections: &[Section]) -> Self {
        let sections: Vec<_> = sections.iter().map(|section| (*section, view.section(*section))).collect();
        let sections: Vec<_> = sections.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        let widest = |width: &dyn Fn(&Row<'_>) -> f64| rows(&sections).map(width).fold(0.0, f64::max);
        let names = widest(&|row| Type::new(SIZE, Ink::Text).width(&row.figure.engine)).clamp(40.0, 130.0);
        let labels = widest(&|row| Type::new(SIZE, Ink::Text).width(&label(row)));
        let promises = widest(&|row| Type::new(SMALL, Ink::Text).width(row.figure.promise.name()));
        let left = names + 8.0;
        let length = (WIDTH - left - labels - promises - 16.0).max(40.0);
        let scale = Scale::of(rows(&sections), view.limit());
        Bars { view, sections, scale, left, length }
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    pub fn height(&self) -> f64 {
        let sections = self.sections.iter().map(|(section, rows)| heading(*section) + ROW * rows.len() as f64);
        TOP + sections.sum::<f64>()
            + if self.scale.logarithmic() { 18.0 } else { 4.0 }
            + self.remark().map_or(0.0, |_| 18.0)
    }

    /// The chart as a picture.
    pub fn picture(&self) -> Result<Picture> {
        draw(WIDTH, self.height(), |canvas| self.draw(canvas))
    }

    /// The chart as a text, for those who do not see it.
    pub fn alternative(&self) -> String {
        let bars = rows(&self.sections)
            .map(|row| format!("{} {} ({})", row.figure.engine, label(row), row.figure.promise.name()));
        format!("{}. {}. {}.", self.view.title, self.caption(), bars.collect::<Vec<_>>().join(", "))
    }

    /// Draws the chart into the upper left corner of an area.
    pub fn draw(&self, canvas: &Canvas<'_>) -> Result {
        canvas.text(&self.caption(), (0.0, 8.0), Type::new(SMALL, Ink::Muted))?;
        let bottom =
            TOP + self.sections.iter().map(|(section, rows)| heading(*section) + ROW * rows.len() as f64).sum::<f64>();
        self.grid(canvas, bottom)?;
        let places = self.places();
        for (section, middle, row) in &places {
            self.bar(canvas, *middle, *section, row)?;
        }
        let ranked = |(section, ..): &&(Section, f64, &Row<'_>)| matches!(section, Section::Ranked | Section::Limit);
        if let (Some(limit), Some((_, last, _))) = (self.view.limit(), places.iter().rfind(ranked)) {
            canvas.dashes(self.x(limit.median), TOP, last + ROW / 2.0, Ink::Limit)?;
        }
        for (section, middle, row) in &places {
            self.words(canvas, *middle, *section, row)?;
        }
        match self.remark() {
            Some(remark) => canvas.text(&remark, (0.0, self.height() - 8.0), Type::new(SMALL, Ink::Limit)),
            None => Ok(()),
        }
    }

    fn caption(&self) -> String {
        let metric = self.view.metric;
        let better = if metric.more_is_better() { "longer" } else { "shorter" };
        let scale = if self.scale.logarithmic() { ", logarithmic scale" } else { "" };
        format!("{}: {better} is better{scale}", capital(metric.name()))
    }

    /// What the dashed line is, where no bar says it.
    fn remark(&self) -> Option<String> {
        let limit = self.view.limit()?;
        if self.view.limit_of.is_none()
            && rows(&self.sections).any(|row| row.role == Role::Limit && row.figure.engine == limit.engine)
        {
            return None;
        }
        let of = self.view.limit_of.map_or(String::new(), |title| format!(" in “{title}”"));
        Some(format!("┆ limit: {}{of}, {}", limit.engine, number::value(limit.median, self.view.metric.unit())))
    }

    fn grid(&self, canvas: &Canvas<'_>, bottom: f64) -> Result {
        for mark in self.scale.marks(self.length) {
            let x = self.x(mark);
            canvas.line(&[(x, TOP), (x, bottom + 2.0)], 1.0, Ink::Grid)?;
            let letters = Type::new(10.5, Ink::Muted).anchored(Anchor::Middle);
            canvas.text(&number::mark(mark, self.view.metric.unit()), (x, bottom + 10.0), letters)?;
        }
        Ok(())
    }

    /// The rows from above to below, and where their middles are.
    fn places(&self) -> Vec<(Section, f64, &Row<'a>)> {
        let (mut places, mut y) = (Vec::new(), TOP);
        for (section, rows) in &self.sections {
            y += heading(*section);
            for row in rows {
                places.push((*section, y + ROW / 2.0, row));
                y += ROW;
            }
        }
        places
    }

    fn bar(&self, canvas: &Canvas<'_>, middle: f64, section: Section, row: &Row<'_>) -> Result {
        let (figure, ours) = (row.figure, row.role == Role::Ours);
        let corner = |from: f64| (self.x(from), middle - BAR / 2.0);
        let until = |from: f64, to: f64| (self.x(to) - self.x(from), BAR);
        let (corner_of_all, size) = (corner(self.scale.from), until(self.scale.from, figure.median));
        match section {
            _ if ours => canvas.rectangle(corner_of_all, size, Ink::Ours)?,
            Section::Ranked => canvas.rectangle(corner_of_all, size, Ink::Peer)?,
            Section::Limit => canvas.frame(corner_of_all, size, Ink::Limit)?,
            Section::Other => canvas.rectangle(corner_of_all, size, Ink::PeerPale)?,
            Section::Part | Section::Ceiling => canvas.frame(corner_of_all, size, Ink::Peer)?,
        }
        if let Some(mapped) = row.mapped {
            let pale = if ours { Ink::OursPale } else { Ink::PeerPale };
            canvas.rectangle(corner(figure.median), until(figure.median, figure.median + mapped), pale)?;
        }
        self.whisker(canvas, middle, figure.min, figure.max)
    }

    /// The name, the figure and the promise of a bar, and the heading above the first one of a section.
    fn words(&self, canvas: &Canvas<'_>, middle: f64, section: Section, row: &Row<'_>) -> Result {
        let (figure, ours) = (row.figure, row.role == Role::Ours);
        let first = self.sections.iter().any(|(_, rows)| rows.first().is_some_and(|first| std::ptr::eq(first, row)));
        if first && section != Section::Ranked {
            let above = middle - ROW / 2.0 - 0.38 * HEADING;
            canvas.text(section.heading(), (0.0, above), Type::new(SMALL, Ink::Muted))?;
        }
        let name = Type::new(SIZE, if ours { Ink::Ours } else { Ink::Text }).anchored(Anchor::End).bold(ours);
        canvas.text(&shortened(&figure.engine, name, self.left - 8.0), (self.left - 8.0, middle), name)?;
        let end = self.x(figure.max.max(figure.median + row.mapped.unwrap_or_default()));
        let (label, letters) = (label(row), Type::new(SIZE, Ink::Text).bold(ours));
        if self.view.limit().is_some_and(|limit| self.x(limit.median) > end + 3.0) {
            // No dashes through the figure.
            canvas.rectangle((end + 3.0, middle - 7.0), (0.85 * letters.width(&label) + 3.0, 14.0), Ink::Surface)?;
        }
        canvas.text(&label, (end + 6.0, middle), letters)?;
        let promise = Type::new(SMALL, Ink::Muted).anchored(Anchor::End);
        canvas.text(figure.promise.name(), (WIDTH, middle), promise)
    }

    /// From the smallest to the largest repetition.
    fn whisker(&self, canvas: &Canvas<'_>, middle: f64, min: f64, max: f64) -> Result {
        let (from, to) = (self.x(min), self.x(max));
        if to - from < 1.0 {
            return Ok(());
        }
        canvas.line(&[(from, middle), (to, middle)], 1.0, Ink::Text)?;
        for end in [from, to] {
            canvas.line(&[(end, middle - 3.0), (end, middle + 3.0)], 1.0, Ink::Text)?;
        }
        Ok(())
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.length * self.scale.fraction(value)
    }
}

fn rows<'a, 'b>(sections: &'b [(Section, Vec<Row<'a>>)]) -> impl Iterator<Item = &'b Row<'a>> {
    sections.iter().flat_map(|(_, rows)| rows)
}

fn heading(section: Section) -> f64 {
    if section == Section::Ranked { 0.0 } else { HEADING }
}

/// The figure beside a bar.
fn label(row: &Row<'_>) -> String {
    let disturbed = if row.figure.disturbed { " †" } else { "" };
    let median = number::value(row.figure.median, &row.figure.unit);
    match row.mapped {
        Some(mapped) if mapped > 0.0 => format!("{median} + {}{disturbed}", number::value(mapped, &row.figure.unit)),
        _ => median + disturbed,
    }
}

fn shortened(name: &str, letters: Type, width: f64) -> String {
    let mut short = name.to_owned();
    while letters.width(&short) > width + 4.0 && short.pop().is_some() {}
    if short.len() < name.len() { short + "…" } else { short }
}

/// What a mark takes of the scale, in pixels.
const MARK_WIDTH: f64 = 46.0;

/// Where a value is between the beginning and the end of the longest bar.
struct Scale {
    /// Where bars begin: 0, unless the scale is logarithmic.
    from: f64,
    to: f64,
}

impl Scale {
    fn of<'a, 'b: 'a>(rows: impl Iterator<Item = &'a Row<'b>>, limit: Option<&Rival>) -> Self {
        let (mut smallest, mut largest, mut to, mut mapped) = (f64::INFINITY, 0.0_f64, 0.0_f64, false);
        for row in rows {
            mapped |= row.mapped.is_some();
            let figure = row.figure;
            (smallest, largest) = (smallest.min(positive(figure.median)), largest.max(figure.median));
            to = to.max(figure.max).max(figure.median + row.mapped.unwrap_or_default());
        }
        if let Some(limit) = limit {
            (smallest, largest) = (smallest.min(positive(limit.median)), largest.max(limit.median));
            to = to.max(limit.median);
        }
        // Lengths that are added cannot be shown by their logarithms.
        let logarithmic = !mapped && largest / smallest > LOGARITHMIC_FROM;
        Scale { from: if logarithmic { smallest / 3.0 } else { 0.0 }, to }
    }

    fn logarithmic(&self) -> bool {
        self.from > 0.0
    }

    fn fraction(&self, value: f64) -> f64 {
        let fraction = match self.logarithmic() {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => value / self.to,
        };
        if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The powers of ten, so many of them that they can be read on a scale of that length.
    fn marks(&self, length: f64) -> Vec<f64> {
        if !self.logarithmic() {
            return Vec::new();
        }
        let (first, last) = (self.from.log10().ceil() as i32, self.to.log10().floor() as i32);
        let power = length / (self.to / self.from).log10();
        let step = (MARK_WIDTH / power).ceil().max(1.0);
        (first..=last).step_by(step as usize).map(|power| 10_f64.powi(power)).collect()
    }
}

fn positive(value: f64) -> f64 {
    if value > 0.0 { value } else { f64::INFINITY }
}
