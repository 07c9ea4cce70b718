//! Decode: the bytes of a chunk become columns of text.

use crate::chunk::Chunk;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use std::sync::Arc;

/// Decodes a chunk into a text column per column of the layout.
pub(crate) fn decode(chunk: &Chunk, format: RowFormat, layout: &Layout) -> RecordBatch {
    let fields: Vec<Field> = layout
        .columns
        .iter()
        .enumerate()
        // Two columns of a CSV header may have one name; arrow-csv goes by position, arrow-json by
        // name.
        .map(|(index, column)| match format {
            RowFormat::Csv(_) => Field::new(index.to_string(), DataType::Utf8, true),
            RowFormat::Json => Field::new(&column.raw_name, DataType::Utf8, true),
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = chunk.rows();
    if rows == 0 {
        return RecordBatch::new_empty(schema);
    }
    let batch = match format {
        RowFormat::Csv(dialect) => {
            let builder = arrow_csv::ReaderBuilder::new(Arc::clone(&schema))
                .with_delimiter(dialect.delimiter)
                .with_quote(dialect.quote)
                .with_batch_size(rows);
            let mut decoder = builder.build_decoder();
            let mut bytes = chunk.bytes.as_slice();
            while !bytes.is_empty() {
                let taken = decoder
                    .decode(bytes)
                    .expect("the reader passes only rows with as many cells as columns");
                bytes = &bytes[taken..];
                if taken == 0 {
                    break;
                }
            }
            decoder.flush().expect("the reader passes only UTF-8 rows that end in a line feed")
        }
        RowFormat::Json => {
            let builder = arrow_json::ReaderBuilder::new(Arc::clone(&schema))
                .with_coerce_primitive(true)
                .with_batch_size(rows);
            let mut decoder = builder.build_decoder().expect("text columns can be decoded");
            decoder
                .decode(&chunk.bytes)
                .expect("the reader passes only objects that serde_json has checked");
            decoder.flush().expect("the reader passes only flat objects")
        }
    };
    let batch = batch.expect("there is at least one row");
    assert_eq!(batch.num_rows(), rows, "arrow must see the rows that the reader saw");
    batch
}
