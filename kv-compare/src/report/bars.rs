//! The bar chart of a workload.

use kv_bench::harness::{
    engine::{Result, Role},
    number::{self, capital},
    summary::Rival,
};

use super::{
    canvas::{Anchor, Canvas, Font, Picture, draw},
    palette::Colour,
    view::{Row, Section, View},
};

/// From this factor between the medians on, the scale is logarithmic.
const LOGARITHMIC_FROM: f64 = 30.0;
/// Space above the first row of a section that has a heading.
const HEADING: f64 = 26.0;

/// The measures of a chart, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub width: f64,
    /// The height of a row.
    pub row: f64,
    /// The height of a bar.
    pub bar: f64,
    /// The space above the first row.
    pub top: f64,
    /// The font size of names and figures.
    pub size: f64,
    /// The font size of captions and promises.
    pub small: f64,
    /// The font size of the marks of the scale.
    pub marks: f64,
    /// The distance between two marks of the scale, at least.
    pub mark_width: f64,
    /// Whether each row names its promise.
    pub promises: bool,
    /// Whether figures cover the grid lines behind them. The page's style sheet gives text an
    /// outline instead.
    pub covers: bool,
}

impl Layout {
    /// For the page: narrow enough that its text is readable on a narrow page.
    pub const PAGE: Layout = Layout {
        width: 360.0,
        row: 22.0,
        bar: 12.0,
        top: 22.0,
        size: 13.0,
        small: 11.5,
        marks: 10.5,
        mark_width: 46.0,
        promises: true,
        covers: false,
    };

    /// For one of several charts side by side.
    pub const SMALL: Layout = Layout {
        width: 208.0,
        row: 17.0,
        bar: 9.0,
        top: 18.0,
        size: 10.5,
        small: 9.5,
        marks: 8.5,
        mark_width: 36.0,
        promises: false,
        covers: true,
    };
}

/// What a chart shows, and where.
pub struct Bars<'a> {
    view: &'a View<'a>,
    layout: Layout,
    sections: Vec<(Section, Vec<Row<'a>>)>,
    scale: Scale,
    /// Where bars start, and the length of the longest one.
    left: f64,
    length: f64,
}

impl<'a> Bars<'a> {
    /// A chart for the page, with all sections of a workload.
    pub fn all(view: &'a View<'a>) -> Self {
        Self::of(view, &Section::ALL, Layout::PAGE)
    }

    /// A small chart of the ranked engines only.
    pub fn ranked(view: &'a View<'a>) -> Self {
        Self::of(view, &[Section::Ranked], Layout::SMALL)
    }

    fn of(view: &'a View<'a>, sections: &[Section], layout: Layout) -> Self {
        let sections: Vec<_> = sections.iter().map(|section| (*section, view.section(*section))).collect();
        let sections: Vec<_> = sections.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        let widest = |width: &dyn Fn(&Row<'_>) -> f64| rows(&sections).map(width).fold(0.0, f64::max);
        let font = Font::new(layout.size, Colour::Text);
        let names = widest(&|row| font.width(&row.figure.engine)).clamp(40.0, 130.0);
        let labels = widest(&|row| font.width(&label(row)));
        let left = names + 8.0;
        let mut length = layout.width - left - labels - 16.0;
        if layout.promises {
            length -= widest(&|row| Font::new(layout.small, Colour::Text).width(row.figure.promise.name()));
        }
        let length = length.max(40.0);
        let scale = Scale::of(rows(&sections), view.limit());
        Bars { view, layout, sections, scale, left, length }
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    pub fn height(&self) -> f64 {
        self.bottom() + if self.scale.logarithmic() { 18.0 } else { 4.0 } + self.remark().map_or(0.0, |_| 18.0)
    }

    /// The chart as a picture.
    pub fn picture(&self) -> Result<Picture> {
        draw(self.layout.width, self.height(), |canvas| self.draw(canvas))
    }

    /// The chart in words, for readers who cannot see it.
    pub fn alternative(&self) -> String {
        let bars = rows(&self.sections)
            .map(|row| format!("{} {} ({})", row.figure.engine, label(row), row.figure.promise.name()));
        format!("{}. {}. {}.", self.view.title, self.caption(), bars.collect::<Vec<_>>().join(", "))
    }

    /// Draws the chart into the upper left corner of an area.
    pub fn draw(&self, canvas: &Canvas<'_>) -> Result {
        let Layout { top, small, row: height, .. } = self.layout;
        canvas.text(&self.caption(), (0.0, 8.0), Font::new(small, Colour::Muted))?;
        self.grid(canvas)?;
        let places = self.places();
        for (section, middle, row) in &places {
            self.bar(canvas, *middle, *section, row)?;
        }
        let ranked = |(section, ..): &&(Section, f64, &Row<'_>)| matches!(section, Section::Ranked | Section::Limit);
        if let (Some(limit), Some((_, last, _))) = (self.view.limit(), places.iter().rfind(ranked)) {
            canvas.dashes(self.x(limit.median), top, last + height / 2.0, Colour::Limit)?;
        }
        for (section, middle, row) in &places {
            self.words(canvas, *middle, *section, row)?;
        }
        match self.remark() {
            Some(remark) => canvas.text(&remark, (0.0, self.height() - 8.0), Font::new(small, Colour::Limit)),
            None => Ok(()),
        }
    }

    /// Where the last row ends.
    fn bottom(&self) -> f64 {
        let sections =
            self.sections.iter().map(|(section, rows)| heading(*section) + self.layout.row * rows.len() as f64);
        self.layout.top + sections.sum::<f64>()
    }

    fn caption(&self) -> String {
        let metric = self.view.metric;
        let better = if metric.more_is_better() { "longer" } else { "shorter" };
        let scale = if self.scale.logarithmic() { ", logarithmic scale" } else { "" };
        format!("{}: {better} is better{scale}", capital(metric.name()))
    }

    /// What the dashed line is, unless a bar shows it.
    fn remark(&self) -> Option<String> {
        let limit = self.view.limit()?;
        if self.view.limit_of.is_none()
            && rows(&self.sections).any(|row| row.role == Role::Limit && row.figure.engine == limit.engine)
        {
            return None;
        }
        let of = self.view.limit_of.filter(|_| self.layout.promises);
        let of = of.map_or(String::new(), |title| format!(" in “{title}”"));
        Some(format!("┆ limit: {}{of}, {}", limit.engine, number::value(limit.median, self.view.metric.unit())))
    }

    fn grid(&self, canvas: &Canvas<'_>) -> Result {
        let (layout, bottom) = (self.layout, self.bottom());
        let font = Font::new(layout.marks, Colour::Muted).anchored(Anchor::Middle);
        for mark in self.scale.marks(self.length, layout.mark_width) {
            let x = self.x(mark);
            canvas.line(&[(x, layout.top), (x, bottom + 2.0)], 1.0, Colour::Grid)?;
            canvas.text(&number::mark(mark, self.view.metric.unit()), (x, bottom + 10.0), font)?;
        }
        Ok(())
    }

    /// The rows from top to bottom, with the heights of their middles.
    fn places(&self) -> Vec<(Section, f64, &Row<'a>)> {
        let (mut places, mut y) = (Vec::new(), self.layout.top);
        for (section, rows) in &self.sections {
            y += heading(*section);
            for row in rows {
                places.push((*section, y + self.layout.row / 2.0, row));
                y += self.layout.row;
            }
        }
        places
    }

    fn bar(&self, canvas: &Canvas<'_>, middle: f64, section: Section, row: &Row<'_>) -> Result {
        let (figure, ours) = (row.figure, row.role == Role::Ours);
        let corner = |from: f64| (self.x(from), middle - self.layout.bar / 2.0);
        let until = |from: f64, to: f64| (self.x(to) - self.x(from), self.layout.bar);
        let (corner_of_all, size) = (corner(self.scale.from), until(self.scale.from, figure.median));
        match section {
            _ if ours => canvas.rectangle(corner_of_all, size, Colour::Ours)?,
            Section::Ranked => canvas.rectangle(corner_of_all, size, Colour::Peer)?,
            Section::Limit => canvas.frame(corner_of_all, size, Colour::Limit)?,
            Section::Other => canvas.rectangle(corner_of_all, size, Colour::PeerPale)?,
            Section::Part | Section::Ceiling => canvas.frame(corner_of_all, size, Colour::Peer)?,
        }
        if let Some(mapped) = row.mapped {
            let pale = if ours { Colour::OursPale } else { Colour::PeerPale };
            canvas.rectangle(corner(figure.median), until(figure.median, figure.median + mapped), pale)?;
        }
        self.whisker(canvas, middle, figure.min, figure.max)
    }

    /// The name, the figure and the promise of a bar, and the heading above the first bar of a
    /// section.
    fn words(&self, canvas: &Canvas<'_>, middle: f64, section: Section, row: &Row<'_>) -> Result {
        let (figure, ours) = (row.figure, row.role == Role::Ours);
        let Layout { size, small, width, .. } = self.layout;
        let first = self.sections.iter().any(|(_, rows)| rows.first().is_some_and(|first| std::ptr::eq(first, row)));
        if first && section != Section::Ranked {
            let above = middle - self.layout.row / 2.0 - 0.38 * HEADING;
            canvas.text(section.heading(), (0.0, above), Font::new(small, Colour::Muted))?;
        }
        let name = Font::new(size, if ours { Colour::Ours } else { Colour::Text }).anchored(Anchor::End).bold(ours);
        canvas.text(&shortened(&figure.engine, name, self.left - 8.0), (self.left - 8.0, middle), name)?;
        let end = self.x(figure.max.max(figure.median + row.mapped.unwrap_or_default()));
        let (label, font) = (label(row), Font::new(size, Colour::Text).bold(ours));
        if self.layout.covers || self.view.limit().is_some_and(|limit| self.x(limit.median) > end + 3.0) {
            // Keeps the dashes and grid lines from crossing the figure.
            let height = 14.0 * size / Layout::PAGE.size;
            let place = (end + 3.0, middle - height / 2.0);
            canvas.rectangle(place, (0.85 * font.width(&label) + 3.0, height), Colour::Surface)?;
        }
        canvas.text(&label, (end + 6.0, middle), font)?;
        if self.layout.promises {
            let font = Font::new(small, Colour::Muted).anchored(Anchor::End);
            canvas.text(figure.promise.name(), (width, middle), font)?;
        }
        Ok(())
    }

    /// A line from the smallest to the largest repetition.
    fn whisker(&self, canvas: &Canvas<'_>, middle: f64, min: f64, max: f64) -> Result {
        let (from, to) = (self.x(min), self.x(max));
        if to - from < 1.0 {
            return Ok(());
        }
        canvas.line(&[(from, middle), (to, middle)], 1.0, Colour::Text)?;
        for end in [from, to] {
            canvas.line(&[(end, middle - 3.0), (end, middle + 3.0)], 1.0, Colour::Text)?;
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

fn shortened(name: &str, font: Font, width: f64) -> String {
    let mut short = name.to_owned();
    while font.width(&short) > width + 4.0 && short.pop().is_some() {}
    if short.len() < name.len() { short + "…" } else { short }
}

/// Maps values to fractions of the longest bar.
struct Scale {
    /// The value at which bars start: 0, unless the scale is logarithmic.
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
        // A bar of two lengths cannot have a logarithmic scale.
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

    /// Powers of ten, at least `mark_width` apart on a scale of that length.
    fn marks(&self, length: f64, mark_width: f64) -> Vec<f64> {
        if !self.logarithmic() {
            return Vec::new();
        }
        let (first, last) = (self.from.log10().ceil() as i32, self.to.log10().floor() as i32);
        let power = length / (self.to / self.from).log10();
        let step = (mark_width / power).ceil().max(1.0);
        (first..=last).step_by(step as usize).map(|power| 10_f64.powi(power)).collect()
    }
}

fn positive(value: f64) -> f64 {
    if value > 0.0 { value } else { f64::INFINITY }
}
