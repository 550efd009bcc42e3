//! The colours, by what they are for. Pictures are drawn in colours that stand for them, which are then replaced by variables of a
//! style sheet: so one picture is right in light and in dark.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Behind everything.
    Page,
    /// Behind a picture or a table.
    Surface,
    /// Text that is read first.
    Text,
    /// Text that is read second.
    Muted,
    /// Lines that help the eye.
    Grid,
    /// Our figures.
    Ours,
    /// The part of our figures that counts less.
    OursPale,
    /// Figures of peers.
    Peer,
    /// The part of them that counts less, and figures that are not compared.
    PeerPale,
    /// The machine's limit.
    Limit,
    /// Where ours is better.
    Ahead,
    /// Where ours is worse.
    Behind,
    /// A peer's line among others.
    Line(usize),
}

struct Colour {
    ink: Ink,
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn colour(ink: Ink, name: &'static str, light: &'static str, dark: &'static str) -> Colour {
    Colour { ink, name, light, dark }
}

const COLOURS: &[Colour] = &[
    colour(Ink::Page, "page", "#f6f6f3", "#121418"),
    colour(Ink::Surface, "surface", "#ffffff", "#1a1d22"),
    colour(Ink::Text, "text", "#1b1e23", "#e8eaed"),
    colour(Ink::Muted, "muted", "#5b626c", "#a3abb6"),
    colour(Ink::Grid, "grid", "#dfe2e6", "#343a43"),
    colour(Ink::Ours, "ours", "#0a62c4", "#62aaff"),
    colour(Ink::OursPale, "ours-pale", "#b9d4f3", "#274a75"),
    colour(Ink::Peer, "peer", "#a4afbc", "#616c7a"),
    colour(Ink::PeerPale, "peer-pale", "#dbe0e6", "#3a424d"),
    colour(Ink::Limit, "limit", "#a84a00", "#f2a25a"),
    colour(Ink::Ahead, "ahead", "#17723a", "#63c987"),
    colour(Ink::Behind, "behind", "#b3261e", "#ff8f85"),
    colour(Ink::Line(0), "line-0", "#8a3ea8", "#cf94ea"),
    colour(Ink::Line(1), "line-1", "#157a6e", "#4cc9b8"),
    colour(Ink::Line(2), "line-2", "#b0356f", "#f08ab8"),
    colour(Ink::Line(3), "line-3", "#5f6b00", "#c3cc52"),
    colour(Ink::Line(4), "line-4", "#7a5230", "#d3a57c"),
    colour(Ink::Line(5), "line-5", "#4a52a8", "#a4abf5"),
    colour(Ink::Line(6), "line-6", "#2f7d23", "#86d279"),
    colour(Ink::Line(7), "line-7", "#9c3d2e", "#f0998b"),
];

/// How many lines have a colour of their own.
pub const LINES: usize = 8;

impl Ink {
    /// The colour that stands for it in a drawing. No colour of the report is near it.
    pub fn stand_in(self) -> RGBColor {
        let index = COLOURS.iter().position(|colour| colour.ink == self).unwrap_or_default();
        RGBColor(0xfe, 0x01, index as u8)
    }
}

/// The drawing with variables in place of the colours that stand for them.
pub fn themed(drawing: &str) -> String {
    let mut themed = drawing.to_owned();
    for colour in COLOURS {
        let RGBColor(red, green, blue) = colour.ink.stand_in();
        let stand_in = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
        themed = themed.replace(&stand_in, &format!("\"var(--{})\"", colour.name));
    }
    themed
}

/// The rules that give the variables their values, in light and in dark.
pub fn style() -> String {
    let mut style = String::from(":root{color-scheme:light dark;");
    for colour in COLOURS {
        let _ = write!(style, "--{}:{};", colour.name, colour.light);
    }
    style.push_str("}\n@media (prefers-color-scheme:dark){:root{");
    for colour in COLOURS {
        let _ = write!(style, "--{}:{};", colour.name, colour.dark);
    }
    style.push_str("}}\n");
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_has_a_stand_in_of_its_own() {
        for (index, colour) in COLOURS.iter().enumerate() {
            assert_eq!(colour.ink.stand_in(), RGBColor(0xfe, 0x01, index as u8));
        }
        assert!((0..LINES).all(|line| COLOURS.iter().any(|colour| colour.ink == Ink::Line(line))));
    }

    #[test]
    fn text_is_readable_on_the_page_and_on_surfaces() {
        let find = |ink| COLOURS.iter().find(|colour| colour.ink == ink).unwrap();
        let mut inks = vec![Ink::Text, Ink::Muted, Ink::Ours, Ink::Limit, Ink::Ahead, Ink::Behind];
        inks.extend((0..LINES).map(Ink::Line));
        for (ground, ink) in
            [Ink::Page, Ink::Surface].into_iter().flat_map(|ground| inks.iter().map(move |ink| (ground, *ink)))
        {
            let (ground, ink) = (find(ground), find(ink));
            for (below, above) in [(ground.light, ink.light), (ground.dark, ink.dark)] {
                let contrast = contrast(below, above);
                assert!(contrast >= 4.5, "{} on {}: {contrast:.2}", ink.name, ground.name);
            }
        }
    }

    /// As the web's guidelines for accessible content define it.
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
