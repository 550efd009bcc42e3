//! A canvas to draw on, which becomes an SVG.

use kv_bench::harness::engine::Result;
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

use super::palette::{self, Colour};

/// Units of the drawing in a pixel. Coordinates are whole units. With two units in a pixel, lines
/// are smooth.
const DENSITY: f64 = 2.0;
/// plotters divides font sizes by this.
const FONT_SCALE: f64 = 1.24;

/// Where a text lies relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It starts at the point.
    Start,
    /// It is centred on the point.
    Middle,
    /// It ends at the point.
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub struct Font {
    pub size: f64,
    pub colour: Colour,
    pub anchor: Anchor,
    pub bold: bool,
}

impl Font {
    pub fn new(size: f64, colour: Colour) -> Self {
        Font { size, colour, anchor: Anchor::Start, bold: false }
    }

    pub fn anchored(self, anchor: Anchor) -> Self {
        Font { anchor, ..self }
    }

    pub fn bold(self, bold: bool) -> Self {
        Font { bold, ..self }
    }

    /// An estimate of the width of a text, because the font that will show it is not known.
    pub fn width(self, text: &str) -> f64 {
        text.chars().count() as f64 * self.size * 0.62
    }
}

/// An area of a drawing. Coordinates are pixels from its upper left corner.
pub struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

/// A finished drawing, in stand-in colours.
pub struct Picture {
    width: f64,
    height: f64,
    /// Everything after the opening tag, with the closing tag.
    body: String,
}

/// Draws a picture of a size in pixels.
pub fn draw(width: f64, height: f64, draw: impl FnOnce(&Canvas<'_>) -> Result) -> Result<Picture> {
    let mut svg = String::new();
    let canvas =
        Canvas(SVGBackend::with_string(&mut svg, (whole(width) as u32, whole(height) as u32)).into_drawing_area());
    draw(&canvas)?;
    canvas.0.present()?;
    drop(canvas);
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    Ok(Picture { width, height, body: body.to_owned() })
}

impl Canvas<'_> {
    /// A part of this area.
    pub fn part(&self, (x, y): (f64, f64), (width, height): (f64, f64)) -> Self {
        Canvas(self.0.clone().shrink((whole(x), whole(y)), (whole(width), whole(height))))
    }

    pub fn rectangle(&self, (x, y): (f64, f64), (width, height): (f64, f64), colour: Colour) -> Result {
        let corners = [point((x, y)), point((x + width, y + height))];
        Ok(self.0.draw(&Rectangle::new(corners, colour.stand_in().filled()))?)
    }

    /// The outline of a rectangle.
    pub fn frame(&self, (x, y): (f64, f64), (width, height): (f64, f64), colour: Colour) -> Result {
        let (right, bottom) = (x + width, y + height);
        self.line(&[(x, y), (right, y), (right, bottom), (x, bottom), (x, y)], 1.0, colour)
    }

    pub fn line(&self, points: &[(f64, f64)], width: f64, colour: Colour) -> Result {
        let style = colour.stand_in().stroke_width(whole(width).max(1) as u32);
        Ok(self.0.draw(&PathElement::new(points.iter().copied().map(point).collect::<Vec<_>>(), style))?)
    }

    /// A vertical dashed line.
    pub fn dashes(&self, x: f64, from: f64, to: f64, colour: Colour) -> Result {
        let (mut y, dash, gap) = (from, 4.0, 3.0);
        while y < to {
            self.line(&[(x, y), (x, to.min(y + dash))], 1.5, colour)?;
            y += dash + gap;
        }
        Ok(())
    }

    /// A text, centred vertically on the point.
    pub fn text(&self, text: &str, at: (f64, f64), font: Font) -> Result {
        let horizontal = match font.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
        let family = (FontFamily::Name("inherit"), font.size * FONT_SCALE * DENSITY, weight).into_font();
        let colour = font.colour.stand_in();
        let style = TextStyle::from(family).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        Ok(self.0.draw_text(text, &style, point(at))?)
    }
}

impl Picture {
    /// The picture as a part of a page, whose style it uses and whose width it fills.
    pub fn inline(&self, title: &str, alternative: &str) -> String {
        self.tagged("", title, alternative, &palette::with_variables(&self.body))
    }

    /// The picture as a file that any viewer can show: it needs no style sheet, because each shape
    /// has its colours as attributes.
    pub fn standalone(&self, title: &str, alternative: &str) -> String {
        let attributes = format!(" width=\"{}\" height=\"{}\" font-family=\"{FONTS}\"", self.width, self.height);
        // Without the attribute a text inherits the font of the picture, in any viewer.
        let body = self.body.replace(" font-family=\"inherit\"", "");
        self.tagged(&attributes, title, alternative, &palette::with_light_colours(&body))
    }

    fn tagged(&self, attributes: &str, title: &str, alternative: &str, body: &str) -> String {
        let (width, height) = (whole(self.width), whole(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{attributes} viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n\
             <title>{}</title>{body}",
            escaped(alternative),
            escaped(title),
        )
    }
}

const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// A text escaped for the content or an attribute of an element.
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
