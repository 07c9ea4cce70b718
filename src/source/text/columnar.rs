//! Columnar: the rows of a Parquet file, a batch at a time, as typed rows.
//!
//! Members of structures are columns named by their path (`shipping.city`), as those of JSON
//! objects are; lists are their JSON text.

pub mod cells;
mod pages;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::process::progress::moved;
use crate::source::text::columnar::cells::{check_type, write_cell};
use crate::source::text::columnar::pages::batch_rows;
use crate::source::text::content::Content;
use crate::source::text::content_reader::{ContentChunks, ContentReader, failure};
use crate::source::text::spool::Spool;
use crate::source::text::typed_rows::TypedRows;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow_select::nullif::nullif;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::LogicalType;
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescriptor;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What every reason begins with.
const DAMAGED: &str = "it is damaged, truncated, or no Parquet file";

/// Largest description of the file's columns and row groups. It takes some ten times as much in
/// memory; that of a gigabyte with a hundred columns has one megabyte.
const FOOTER_BYTES_MAX: u64 = 8 << 20;

/// Bytes at the end of a file: the length of the footer, and the mark.
const TAIL_BYTES: u64 = 8;

/// The mark of files.
const MARK: [u8; 4] = *b"PAR1";

/// The mark of files whose footer is encrypted.
const ENCRYPTED_MARK: [u8; 4] = *b"PARE";

/// Writes the header and all rows.
///
/// # Errors
///
/// [`SyncError::Damaged`] when it is no Parquet file, or something in it is larger than a limit or
/// of a kind that is not read.
pub fn write_rows(
    content: &Arc<Content>,
    dataset: &Dataset,
    limits: &Limits,
    spool: &mut Spool<'_>,
) -> Result<(), SyncError> {
    contained(|| {
        let metadata = open(content)?;
        let columns = columns(&metadata)?;
        check_lines(&columns, dataset)?;
        let mut rows = TypedRows::new(
            spool,
            columns.len(),
            limits.row_bytes_max,
            limits.decompressed_bytes_max,
        );
        columns.iter().for_each(|column| rows.text(column.name.as_bytes()));
        rows.end_row()?;
        let groups = metadata.metadata().row_groups();
        for (index, group) in groups.iter().enumerate() {
            let (page_bytes_max, batch_bytes_max) =
                (limits.memory_bytes_max / 16, limits.memory_bytes_max / 8);
            let batch = batch_rows(content, group, page_bytes_max, batch_bytes_max)?;
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
                ContentChunks(Arc::clone(content)),
                metadata.clone(),
            );
            let reader = reader.with_row_groups(vec![index]).with_batch_size(batch);
            let mut left = group.num_rows();
            for batch in reader.build().map_err(damage)? {
                moved();
                let batch = batch.map_err(|error| damage(error.into()))?;
                left -= i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                write_batch(&batch, &columns, &mut rows)?;
            }
            if left != 0 {
                return Err(SyncError::damaged(format!(
                    "{DAMAGED}: row group {} has {left} rows less than it says",
                    index + 1
                )));
            }
        }
        Ok(())
    })
}

/// The names of its columns.
///
/// # Errors
///
/// As [`write_rows`].
pub fn names(content: &Arc<Content>) -> Result<Vec<String>, SyncError> {
    contained(|| {
        let columns = columns(&open(content)?)?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    })
}

/// The library's work on a file that is damaged in a way that it did not expect is its damage.
fn contained<T>(work: impl FnOnce() -> Result<T, SyncError>) -> Result<T, SyncError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(SyncError::damaged(DAMAGED)))
}

fn damage(error: ParquetError) -> SyncError {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => failure(*error, DAMAGED),
            Err(error) => SyncError::damaged(format!("{DAMAGED}: {error}")),
        },
        error => SyncError::damaged(format!("{DAMAGED}: {error}")),
    }
}

/// The description of a file, if it is not too large.
fn open(content: &Arc<Content>) -> Result<ArrowReaderMetadata, SyncError> {
    let size = content.size_bytes();
    if size < 2 * MARK.len() as u64 + TAIL_BYTES {
        return Err(SyncError::damaged(DAMAGED));
    }
    let mut tail = [0; TAIL_BYTES as usize];
    let mut reader = ContentReader::new(ContentChunks(Arc::clone(content)));
    reader
        .seek(SeekFrom::Start(size - TAIL_BYTES))
        .and_then(|_| reader.read_exact(&mut tail))
        .map_err(|error| failure(error, DAMAGED))?;
    let [a, b, c, d, mark @ ..] = tail;
    if mark == ENCRYPTED_MARK {
        return Err(SyncError::damaged("it is encrypted, so it cannot be read: write it as it is"));
    }
    let footer_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    if mark != MARK || footer_bytes > size - TAIL_BYTES {
        return Err(SyncError::damaged(DAMAGED));
    }
    if footer_bytes > FOOTER_BYTES_MAX {
        return Err(SyncError::damaged(format!(
            "it describes its columns and row groups in {footer_bytes} bytes, and there is room for {FOOTER_BYTES_MAX}: write larger \
             row groups, or several files"
        )));
    }
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let chunks = ContentChunks(Arc::clone(content));
    let metadata = ArrowReaderMetadata::load(&chunks, options()).map_err(damage)?;
    let viewed = Schema::new(viewed(metadata.schema().fields()));
    ArrowReaderMetadata::try_new(
        Arc::clone(metadata.metadata()),
        options().with_schema(SchemaRef::new(viewed)),
    )
    .map_err(damage)
}

/// The same fields with texts that point into the pages they come from: a text that a dictionary
/// has once would else be there as often as it is used.
fn viewed(fields: &Fields) -> Vec<FieldRef> {
    let viewed_type = |data_type: &DataType| match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Struct(fields) => DataType::Struct(viewed(fields).into()),
        DataType::List(field) => {
            DataType::List(viewed(&Fields::from([Arc::clone(field)]))[0].clone())
        }
        other => other.clone(),
    };
    let field = |field: &FieldRef| -> FieldRef {
        Arc::new(Field::clone(field).with_data_type(viewed_type(field.data_type())))
    };
    fields.iter().map(field).collect()
}

/// A column of the rows.
struct Column {
    name: String,
    /// Its place in the file's columns, and in the structures that it is a member of.
    path: Vec<usize>,
    is_list: bool,
    is_uuid: bool,
}

/// The columns, structures taken apart.
fn columns(metadata: &ArrowReaderMetadata) -> Result<Vec<Column>, SyncError> {
    let uuids = uuids(metadata.parquet_schema());
    let mut columns = Vec::new();
    let mut path = Vec::new();
    collect(metadata.schema().fields(), "", &mut path, &uuids, &mut columns)?;
    Ok(columns)
}

fn collect(
    fields: &Fields,
    prefix: &str,
    path: &mut Vec<usize>,
    uuids: &HashSet<String>,
    columns: &mut Vec<Column>,
) -> Result<(), SyncError> {
    for (index, field) in fields.iter().enumerate() {
        let name = format!("{prefix}{}", field.name());
        check_type(&name, field.data_type(), path.len())?;
        path.push(index);
        match field.data_type() {
            DataType::Struct(members) => {
                collect(members, &format!("{name}."), path, uuids, columns)?;
            }
            data_type => columns.push(Column {
                is_list: matches!(data_type, DataType::List(_) | DataType::LargeList(_)),
                is_uuid: uuids.contains(&name),
                path: path.clone(),
                name,
            }),
        }
        path.pop();
    }
    Ok(())
}

/// Names of columns of UUIDs.
fn uuids(schema: &SchemaDescriptor) -> HashSet<String> {
    let columns = schema.columns().iter();
    let uuids = columns.filter(|column| column.logical_type_ref() == Some(&LogicalType::Uuid));
    uuids.map(|column| column.path().string()).collect()
}

/// A list that the dataset takes for the lines of its records would be a text here.
fn check_lines(columns: &[Column], dataset: &Dataset) -> Result<(), SyncError> {
    let lines = dataset.json.lines.as_deref();
    match columns.iter().find(|column| column.is_list && Some(column.name.as_str()) == lines) {
        None => Ok(()),
        Some(column) => Err(SyncError::damaged(format!(
            "its column {} is a list, and `json.lines` of dataset {} is for JSON: write a row for each line, or a JSON file",
            column.name, dataset.name
        ))),
    }
}

fn write_batch(
    batch: &RecordBatch,
    columns: &[Column],
    rows: &mut TypedRows<'_, '_>,
) -> Result<(), SyncError> {
    let arrays: Vec<ArrayRef> = columns.iter().map(|column| array(batch, &column.path)).collect();
    for row in 0..batch.num_rows() {
        for (column, array) in columns.iter().zip(&arrays) {
            write_cell(rows, array, row, column.is_uuid);
        }
        rows.end_row()?;
    }
    Ok(())
}

/// The values of a column; none where a structure around it is missing.
fn array(batch: &RecordBatch, path: &[usize]) -> ArrayRef {
    let mut array = Arc::clone(batch.column(path[0]));
    for &member in &path[1..] {
        let structure = array.as_struct();
        let own = Arc::clone(structure.column(member));
        array = match structure.nulls() {
            None => own,
            Some(nulls) => {
                let is_missing = arrow_array::BooleanArray::new(!nulls.inner(), None);
                nullif(&own, &is_missing).expect("both have a row for each of the batch")
            }
        };
    }
    array
}
