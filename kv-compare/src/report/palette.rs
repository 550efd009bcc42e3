//! The colours, by what they are for. A picture is drawn in stand-in colours, one for each purpose.
//! On the page they become variables of the style sheet, so that one picture fits a light and a
//! dark page. In a file of its own they become the light colours, which any viewer can show.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// The purpose of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// The background of the page.
    Page,
    /// The background of a picture or a table.
    Surface,
    /// Primary text.
    Text,
    /// Secondary text.
    Muted,
    /// Grid lines.
    Grid,
    /// Our figures.
    Ours,
    /// The second part of our figures, which counts less.
    OursPale,
    /// Figures of peers.
    Peer,
    /// The second part of the peers' figures, and figures that are not compared.
    PeerPale,
    /// The machine's limit.
    Limit,
    /// Where ours is better.
    Ahead,
    /// Where ours is worse.
    Behind,
    /// The line of a peer among others.
    Line(usize),
}

struct Definition {
    colour: Colour,
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn define(colour: Colour, name: &'static str, light: &'static str, dark: &'static str) -> Definition {
    Definition { colour, name, light, dark }
}

const DEFINITIONS: &[Definition] = &[
    define(Colour::Page, "page", "#f6f6f3", "#121418"),
    define(Colour::Surface, "surface", "#ffffff", "#1a1d22"),
    define(Colour::Text, "text", "#1b1e23", "#e8eaed"),
    define(Colour::Muted, "muted", "#5b626c", "#a3abb6"),
    define(Colour::Grid, "grid", "#dfe2e6", "#343a43"),
    define(Colour::Ours, "ours", "#0a62c4", "#62aaff"),
    define(Colour::OursPale, "ours-pale", "#b9d4f3", "#274a75"),
    define(Colour::Peer, "peer", "#a4afbc", "#616c7a"),
    define(Colour::PeerPale, "peer-pale", "#dbe0e6", "#3a424d"),
    define(Colour::Limit, "limit", "#a84a00", "#f2a25a"),
    define(Colour::Ahead, "ahead", "#17723a", "#63c987"),
    define(Colour::Behind, "behind", "#b3261e", "#ff8f85"),
    define(Colour::Line(0), "line-0", "#8a3ea8", "#cf94ea"),
    define(Colour::Line(1), "line-1", "#157a6e", "#4cc9b8"),
    define(Colour::Line(2), "line-2", "#b0356f", "#f08ab8"),
    define(Colour::Line(3), "line-3", "#5f6b00", "#c3cc52"),
    define(Colour::Line(4), "line-4", "#7a5230", "#d3a57c"),
    define(Colour::Line(5), "line-5", "#4a52a8", "#a4abf5"),
    define(Colour::Line(6), "line-6", "#2f7d23", "#86d279"),
    define(Colour::Line(7), "line-7", "#9c3d2e", "#f0998b"),
];

/// How many lines have a colour of their own.
pub const LINES: usize = 8;

impl Colour {
    /// The colour that a picture is drawn in. No definition is near it.
    pub fn stand_in(self) -> RGBColor {
        let index = DEFINITIONS.iter().position(|definition| definition.colour == self).unwrap_or_default();
        RGBColor(0xfe, 0x01, index as u8)
    }
}

/// The drawing with variables of the style sheet in place of the stand-ins.
pub fn with_variables(drawing: &str) -> String {
    replaced(drawing, |definition| format!("var(--{})", definition.name))
}

/// The drawing with the light colours in place of the stand-ins.
pub fn with_light_colours(drawing: &str) -> String {
    replaced(drawing, |definition| definition.light.to_owned())
}

fn replaced(drawing: &str, value: impl Fn(&Definition) -> String) -> String {
    let mut drawing = drawing.to_owned();
    for definition in DEFINITIONS {
        let RGBColor(red, green, blue) = definition.colour.stand_in();
        let stand_in = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
        drawing = drawing.replace(&stand_in, &format!("\"{}\"", value(definition)));
    }
    drawing
}

/// The rules that define the variables, in light and in dark.
pub fn style() -> String {
    let mut style = String::from(":root{color-scheme:light dark;");
    for definition in DEFINITIONS {
        let _ = write!(style, "--{}:{};", definition.name, definition.light);
    }
    style.push_str("}\n@media (prefers-color-scheme:dark){:root{");
    for definition in DEFINITIONS {
        let _ = write!(style, "--{}:{};", definition.name, definition.dark);
    }
    style.push_str("}}\n");
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_a_stand_in_of_its_own() {
        for (index, definition) in DEFINITIONS.iter().enumerate() {
            assert_eq!(definition.colour.stand_in(), RGBColor(0xfe, 0x01, index as u8));
        }
        assert!((0..LINES).all(|line| DEFINITIONS.iter().any(|definition| definition.colour == Colour::Line(line))));
    }

    #[test]
    fn text_is_readable_on_the_page_and_on_surfaces() {
        let find = |colour| DEFINITIONS.iter().find(|definition| definition.colour == colour).unwrap();
        let mut texts = vec![Colour::Text, Colour::Muted, Colour::Ours, Colour::Limit, Colour::Ahead, Colour::Behind];
        texts.extend((0..LINES).map(Colour::Line));
        for (ground, text) in
            [Colour::Page, Colour::Surface].into_iter().flat_map(|ground| texts.iter().map(move |text| (ground, *text)))
        {
            let (ground, text) = (find(ground), find(text));
            for (below, above) in [(ground.light, text.light), (ground.dark, text.dark)] {
                let contrast = contrast(below, above);
                assert!(contrast >= 4.5, "{} on {}: {contrast:.2}", text.name, ground.name);
            }
        }
    }

    /// The contrast as the Web Content Accessibility Guidelines define it.
    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }
}
