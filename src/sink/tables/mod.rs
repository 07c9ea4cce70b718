//! Tables: the markets' tables: their columns, indexes and rows.

pub mod bulk;
pub mod commit;
pub mod deletes;
pub mod evolve;
pub mod indexes;
pub mod known;
pub mod stored_lines;
pub mod upsert;
pub mod widen;
