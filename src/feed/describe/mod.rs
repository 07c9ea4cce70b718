//! Describe: what the rows of an unknown file show, and the declaration that follows from it.
//!
//! [`facts`] takes every row into account, [`key`] among them what may identify a record, [`dates`]
//! how days are written. [`name`] says what the file's later siblings are called. [`columns`] and
//! [`draft`] make the declaration of it, and [`mod@print`] its text. A column that nothing proves
//! stays open: it is text, and a comment says how to declare what it is.

pub mod columns;
pub mod dates;
pub mod draft;
pub mod facts;
pub mod key;
pub mod name;
pub mod print;
pub mod totals;
