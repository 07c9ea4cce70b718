//! Describe: reads an unknown file, and finds how its declaration must say to read it.

pub mod above;
pub mod json_shape;
pub mod rows;

use crate::source::text::Text;
use crate::source::text::content::Window;
use std::collections::BTreeSet;

/// Words of a guessed encoding that are shown: enough to see whether it is the right one.
const WORDS_MAX: usize = 5;

/// The first words of a text with letters beyond ASCII.
pub fn foreign_words(text: &Text) -> Vec<String> {
    let Ok(window) = Window::at(&text.content, 0) else { return Vec::new() };
    let beginning = String::from_utf8_lossy(window.rest());
    let words = beginning.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '"'));
    let foreign = words.filter(|word| !word.is_ascii() && !word.contains('\u{fffd}'));
    let mut seen = BTreeSet::new();
    foreign.filter(|word| seen.insert(*word)).take(WORDS_MAX).map(str::to_owned).collect()
}
