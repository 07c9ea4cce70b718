//! Tests of the reader: whole records, in any number of chunks, from any position.

use super::*;
use crate::config::{Config, Overrides};
use crate::feed::layout::Shapes;
use crate::source::survey::survey;
use crate::source::text::{Text, read_text};
use std::path::Path;
use std::sync::Arc;

/// The dataset of orders, with chunks so small that a few records fill one.
struct Orders {
    config: Config,
    dataset: Arc<Dataset>,
}

impl Orders {
    fn new() -> Self {
        let mut config = Config::load(&Overrides::default()).expect("the shipped configuration");
        config.limits.chunk_bytes_max = 60;
        let orders = |dataset: &&Arc<Dataset>| dataset.name == "orders";
        let dataset = config.datasets.iter().find(orders).expect("it is shipped");
        Self { dataset: Arc::clone(dataset), config }
    }

    /// What one process after the other reads of a file, each from where the one before it left
    /// off after so many chunks.
    fn read(&self, text: &str, chunks_each: usize) -> Vec<Chunk> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("orders.csv");
        std::fs::write(&path, text).expect("it can be written");
        let text = self.text(directory.path(), &path);
        let (survey, layout) = survey(&text, &self.dataset, &Shapes::new(), &self.config.limits)
            .expect("a sound file");
        let mut read = Vec::new();
        let mut position = Position::START;
        while position != Position::Done {
            let limits = &self.config.limits;
            let mut reader =
                Reader::new(&text.content, &layout, &self.dataset, limits, &survey, position)
                    .expect("it can be read");
            for _ in 0..chunks_each {
                let Some(chunk) = reader.next_chunk().expect("it can be read") else { break };
                assert!(chunk.next.is_after(position), "{:?} comes after {position:?}", chunk.next);
                position = chunk.next;
                read.push(chunk);
            }
        }
        read
    }

    fn text(&self, root: &Path, path: &Path) -> Text {
        let limits = &self.config.limits;
        let mut content = Content::open(root, path, limits).expect("it can be opened");
        content.hash().expect("it can be read");
        read_text(content, &self.dataset, None, limits, root).expect("it is text")
    }
}

/// Each record with its rows' numbers, in the order of reading.
fn records(chunks: &[Chunk]) -> Vec<(String, Vec<u64>)> {
    let records = |chunk: &Chunk| -> Vec<(String, Vec<u64>)> {
        let rows = chunk.records.iter().map(|rows| chunk.numbers[rows.clone()].to_vec());
        chunk.keys.iter().cloned().zip(rows).collect()
    };
    chunks.iter().flat_map(records).collect()
}

fn export(keys: &[&str]) -> String {
    let mut text = "Order ID,SKU,Quantity\n".to_owned();
    for (number, key) in keys.iter().enumerate() {
        text.push_str(&format!("{key},product number {number},1\n"));
    }
    text
}

#[test]
fn a_record_is_whole_in_one_chunk_and_those_that_stand_apart_come_last() {
    let orders = Orders::new();
    let text = export(&["1", "1", "1", "1", "1", "2", "3", "3", "2", "4", "5", "2"]);
    let chunks = orders.read(&text, 1);
    assert!(chunks.len() > 3, "{} chunks", chunks.len());
    let expected: [(&str, &[u64]); 5] =
        [("1", &[1, 2, 3, 4, 5]), ("3", &[7, 8]), ("4", &[10]), ("5", &[11]), ("2", &[6, 9, 12])];
    let expected: Vec<(String, Vec<u64>)> =
        expected.map(|(key, rows)| (key.to_owned(), rows.to_vec())).into();
    assert_eq!(records(&chunks), expected);
    assert_eq!(chunks.iter().map(|chunk| chunk.rows_read).sum::<u64>(), 12);
}

#[test]
fn it_goes_on_from_any_chunk_as_if_it_had_never_stopped() {
    let orders = Orders::new();
    let keys: Vec<String> = (0..200_u32)
        .map(|row| if row % 7 == 0 { (row % 5).to_string() } else { format!("k{row}") })
        .collect();
    let text = export(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = records(&orders.read(&text, usize::MAX));
    assert_eq!(whole.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 200);
    for chunks_each in [1, 2, 5] {
        assert_eq!(records(&orders.read(&text, chunks_each)), whole, "{chunks_each} at a time");
    }
}

#[test]
fn a_faulty_row_takes_its_record_with_it_and_one_without_a_key_only_itself() {
    let orders = Orders::new();
    let text = "Order ID,SKU,Quantity\n1,a,1\n,b,1\n2,c,1\n2,d,1,too,many\n2,e,1\n3,f,1\n";
    let chunks = orders.read(text, 1);
    let rejected = |chunk: &Chunk| -> Vec<(u64, Option<String>)> {
        let rejects = chunk.rejects.iter();
        rejects.map(|reject| (reject.row_number, reject.record_key.clone())).collect()
    };
    let rejects: Vec<_> = chunks.iter().flat_map(rejected).collect();
    let of_two = Some("2".to_owned());
    assert_eq!(rejects, [(2, None), (3, of_two.clone()), (4, of_two.clone()), (5, of_two)]);
    let kept = records(&chunks);
    assert_eq!(kept, [("1".to_owned(), vec![1]), ("3".to_owned(), vec![6])]);
    assert_eq!(chunks.iter().map(|chunk| chunk.rows_read).sum::<u64>(), 6);
}
