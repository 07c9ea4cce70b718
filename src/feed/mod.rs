//! Feed: what a file is: its dataset's declaration, its columns, what they hold.

pub mod column;
pub mod correction;
pub mod dataset;
pub mod decimals;
pub mod declaration;
pub mod describe;
pub mod encoding;
pub mod inference;
pub mod json_settings;
pub mod layout;
pub mod layout_column;
pub mod names;
pub mod number_form;
pub mod record_key;
pub mod row_format;
pub mod rules;
mod shipped;
pub mod stamp;
pub(crate) mod table_names;
pub mod version;
pub mod words;
