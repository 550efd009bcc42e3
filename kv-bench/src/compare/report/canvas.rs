//! Something to draw on, which becomes an SVG.

use plotters::{
    coord::Shift,
    drawing::DrawingArea,
    element::PathElement,
    prelude::{IntoDrawingArea, IntoFont, Rectangle, SVGBackend},
    style::{
        Color, FontFamily, FontStyle, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::ink::{self, Ink};
use crate::compare::engine::Result;

/// Coordinates of the drawing are whole numbers: two of them for each pixel make lines smooth enough.
const DENSITY: f64 = 2.0;
/// plotters divides the sizes of fonts by this.
const FONT_SCALE: f64 = 1.24;

/// Where a text begins, or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It is around there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    pub size: f64,
    pub ink: Ink,
    pub anchor: Anchor,
    pub bold: bool,
}

impl Type {
    pub fn new(size: f64, ink: Ink) -> Self {
        Type { size, ink, anchor: Anchor::Start, bold: false }
    }

    pub fn anchored(self, anchor: Anchor) -> Self {
        Type { anchor, ..self }
    }

    pub fn bold(self, bold: bool) -> Self {
        Type { bold, ..self }
    }

    /// About how wide a text is: nobody knows which font shows it.
    pub fn width(self, text: &str) -> f64 {
        text.chars().count() as f64 * self.size * 0.62
    }
}

/// An area of a drawing. Coordinates are pixels from its upper left corner.
pub struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

/// A finished drawing.
pub struct Picture {
    width: f64,
    height: f64,
    /// All below the opening tag, and the closing tag.
    body: String,
}

/// Draws.
pub fn draw(width: f64, height: f64, draw: impl FnOnce(&Canvas<'_>) -> Result) -> Result<Picture> {
    let mut svg = String::new();
    let canvas =
        Canvas(SVGBackend::with_string(&mut svg, (whole(width) as u32, whole(height) as u32)).into_drawing_area());
    draw(&canvas)?;
    canvas.0.present()?;
    drop(canvas);
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    Ok(Picture { width, height, body: ink::themed(body) })
}

impl Canvas<'_> {
    /// A part of this area.
    pub fn part(&self, (x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        Canvas(self.0.clone().shrink((whole(x), whole(y)), (whole(width), whole(height))))
    }

    pub fn rectangle(&self, (x, y): (f64, f64), (width, height): (f64, f64), ink: Ink) -> Result {
        let corners = [point((x, y)), point((x + width, y + height))];
        Ok(self.0.draw(&Rectangle::new(corners, ink.stand_in().filled()))?)
    }

    /// The edge of a rectangle.
    pub fn frame(&self, (x, y): (f64, f64), (width, height): (f64, f64), ink: Ink) -> Result {
        let (right, bottom) = (x + width, y + height);
        self.line(&[(x, y), (right, y), (right, bottom), (x, bottom), (x, y)], 1.0, ink)
    }

    pub fn line(&self, points: &[(f64, f64)], width: f64, ink: Ink) -> Result {
        let style = ink.stand_in().stroke_width(whole(width).max(1) as u32);
        Ok(self.0.draw(&PathElement::new(points.iter().copied().map(point).collect::<Vec<_>>(), style))?)
    }

    /// A vertical line of dashes.
    pub fn dashes(&self, x: f64, from: f64, to: f64, ink: Ink) -> Result {
        let (mut y, dash, gap) = (from, 4.0, 3.0);
        while y < to {
            self.line(&[(x, y), (x, to.min(y + dash))], 1.5, ink)?;
            y += dash + gap;
        }
        Ok(())
    }

    /// A text whose middle is at that height.
    pub fn text(&self, text: &str, at: (f64, f64), letters: Type) -> Result {
        let horizontal = match letters.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if letters.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FontFamily::Name("inherit"), letters.size * FONT_SCALE * DENSITY, weight).into_font();
        let colour = letters.ink.stand_in();
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        Ok(self.0.draw_text(text, &style, point(at))?)
    }
}

impl Picture {
    /// As a part of a page, whose style it takes and whose width it fills.
    pub fn inline(&self, title: &str, alternative: &str) -> String {
        self.tagged("", title, alternative, "")
    }

    /// As a file of its own, with a style that fits light and dark.
    pub fn standalone(&self, title: &str, alternative: &str) -> String {
        let size = format!(" width=\"{}\" height=\"{}\"", self.width, self.height);
        let style = format!("<style>{}{STANDALONE}</style>", ink::style());
        self.tagged(&size, title, alternative, &style)
    }

    fn tagged(&self, size: &str, title: &str, alternative: &str, style: &str) -> String {
        let (width, height) = (whole(self.width), whole(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{size} viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n\
             <title>{}</title>{style}{}",
            escaped(alternative),
            escaped(title),
            self.body
        )
    }
}

const STANDALONE: &str = "svg{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;\
    font-variant-numeric:tabular-nums}text[font-weight]{font-weight:600}\
    text{paint-order:stroke;stroke:var(--surface);stroke-width:6px;stroke-linejoin:round}";

/// A text as the content or an attribute of an element.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (whole(x), whole(y))
}

fn whole(pixels: f64) -> i32 {
    (pixels * DENSITY).round() as i32
}
