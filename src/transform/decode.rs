//! Decode: the bytes of a chunk become columns of text.

use crate::chunk::Chunk;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use arrow_select::zip::zip;
use std::sync::Arc;

/// Decodes a chunk into a text column per column of the layout, copies included.
pub(crate) fn decode(chunk: &Chunk, format: RowFormat, layout: &Layout) -> RecordBatch {
    let mut fields: Vec<Field> = layout
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
    if format == RowFormat::Json {
        let copies = layout.copies.iter();
        let names = copies.map(|copy| copy.member_name(&layout.columns[copy.source].raw_name));
        fields.extend(names.map(|name| Field::new(name, DataType::Utf8, true)));
    }
    let schema = Arc::new(Schema::new(fields));
    let rows = chunk.rows();
    if rows == 0 {
        return with_copies(RecordBatch::new_empty(schema), layout);
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
    with_copies(batch, layout)
}

/// A batch in which each copy has its own value where the reader wrote one, and else its source's.
fn with_copies(batch: RecordBatch, layout: &Layout) -> RecordBatch {
    if layout.copies.is_empty() {
        return batch;
    }
    let own = layout.columns.len();
    let mut fields: Vec<FieldRef> = batch.schema().fields()[..own].to_vec();
    let mut columns: Vec<ArrayRef> = batch.columns()[..own].to_vec();
    for (number, copy) in layout.copies.iter().enumerate() {
        let source = batch.column(copy.source);
        let written = batch.columns().get(own + number);
        let written = written.filter(|written| written.null_count() < written.len());
        fields.push(Arc::new(Field::new(format!("copy {number}"), DataType::Utf8, true)));
        columns.push(written.map_or_else(
            || Arc::clone(source),
            |written| {
                let is_written = BooleanArray::from_iter(
                    (0..written.len()).map(|row| Some(written.is_valid(row))),
                );
                zip(&is_written, written, source).expect("both are text columns of one batch")
            },
        ));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .expect("every column is text and has all rows")
}
