//! Values: numbers, moments, and their canonical text.

pub mod canonical;
pub mod cell;
pub mod currency;
pub mod dates;
pub mod identifier;
pub mod moment;
pub mod number;
pub mod spreadsheet;
