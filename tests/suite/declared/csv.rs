//! A table as a file of cells, in some dialect, of which the declaration says what the file itself
//! does not show.

use super::layers::quoted;
use super::table::{Row, Table};
use fastrand::Rng;

/// How cells are written.
struct Dialect {
    delimiter: char,
    quote: Option<char>,
    quotes_all: bool,
    has_spaces: bool,
    line_end: &'static str,
}

impl Dialect {
    fn any(random: &mut Rng, table: &mut Table) -> Self {
        let has_quotes = table.dialect.is_empty();
        let delimiters: &[char] = match has_quotes {
            true => &[',', ',', ';', ';', '\t', '|', ':', '^', '~'],
            false => &['\t', '|', '^', '~'],
        };
        let delimiter = delimiters[random.usize(..delimiters.len())];
        let quote = has_quotes.then(|| if random.u8(..4) == 0 { '\'' } else { '"' });
        let dialect = Self {
            delimiter,
            quote,
            quotes_all: has_quotes && random.u8(..4) == 0,
            has_spaces: has_quotes && random.u8(..10) == 0,
            line_end: ["\n", "\n", "\r\n", "\r\n", "\r"][random.usize(..5)],
        };
        // Apostrophes show as quotes where the names of the header stand in them.
        if let Some(quote) = quote
            && (random.bool() || quote == '\'' && !dialect.quotes_all)
        {
            table.dialect.push(format!("quote = {}", quoted(&quote.to_string())));
        }
        dialect
    }

    fn cell(&self, random: &mut Rng, text: &str) -> String {
        let Some(quote) = self.quote else { return text.to_owned() };
        let needs =
            text.contains([self.delimiter, '\n', '\r']) || text.trim_start().starts_with(quote);
        // A quote within a cell is text; most programs put others around it all the same.
        let may = self.quotes_all || text.contains(quote) && random.bool() || random.u8(..12) == 0;
        if !needs && !may {
            return text.to_owned();
        }
        let space = if self.has_spaces && random.bool() { " " } else { "" };
        let doubled = text.replace(quote, &format!("{quote}{quote}"));
        format!("{space}{quote}{doubled}{quote}")
    }

    fn row<T: AsRef<str>>(&self, random: &mut Rng, cells: &[T]) -> String {
        let cells: Vec<String> =
            cells.iter().map(|cell| self.cell(random, cell.as_ref())).collect();
        cells.join(&self.delimiter.to_string())
    }
}

/// The file, and how many rows of it are the header once more.
pub fn write(random: &mut Rng, table: &mut Table) -> (String, u64) {
    let dialect = Dialect::any(random, table);
    table.header_has = random.u8(..if table.is_keyless() { 2 } else { 6 }) == 0;
    let is_known = !table.is_keyless() || table.header_has;
    let own: Vec<usize> = (0..table.columns.len())
        .filter(|&column| table.columns[column].copy_of.is_none())
        .collect();
    let header: Vec<String> =
        own.iter().map(|&column| table.columns[column].in_file.clone()).collect();
    let mut lines: Vec<String> = Vec::new();
    let hint = random.u8(..8) == 0;
    if hint {
        lines.push(format!("sep={}", dialect.delimiter));
    }
    let is_usual = [',', ';', '\t', '|'].contains(&dialect.delimiter);
    if hint && random.bool() {
        // What a file says of itself counts.
        table.dialect.push("delimiter = \"!\"".to_owned());
    } else if !hint && (!is_usual || !is_known || own.len() < 2 || random.bool()) {
        let name = if dialect.delimiter == '\t' {
            "tab".to_owned()
        } else {
            dialect.delimiter.to_string()
        };
        table.dialect.push(format!("delimiter = {}", quoted(&name)));
    }
    if is_known && random.u8(..5) == 0 {
        let delimiter = dialect.delimiter;
        let above = [
            "The report".to_owned(),
            format!("from{delimiter}2022-01-01"),
            String::new(),
            format!("{delimiter}{delimiter}"),
        ];
        lines.extend(above.into_iter().take(random.usize(1..5)));
    }
    // What an export has behind its columns, in the header or only in its rows.
    let [in_header, in_rows] = match random.u8(..8) {
        0 => [1, 1],
        1 => [0, 1],
        2 => [2, 2],
        _ => [0, 0],
    };
    let padding = |count: usize| dialect.delimiter.to_string().repeat(count);
    let header_line = dialect.row(random, &header) + &padding(in_header);
    lines.push(header_line.clone());
    let mut above: Vec<Option<String>> = vec![None; own.len()];
    let mut headers_again = 0;
    let rows = u64::try_from(table.rows.len()).expect("few");
    for row in &table.rows {
        let cells = filled(random, table, row, &own, &mut above);
        lines.push(dialect.row(random, &cells) + &padding(in_rows));
        // Padding that most rows have is known as such.
        let is_rare = in_header == in_rows || 2 * (headers_again + 1) < rows;
        if is_rare && random.u8(..40) == 0 {
            lines.push(header_line.clone());
            headers_again += 1;
        }
        if random.u8(..30) == 0 {
            lines.push(String::new());
        }
    }
    let mut text = lines.join(dialect.line_end);
    if random.u8(..4) > 0 {
        text.push_str(dialect.line_end);
    }
    (text, headers_again)
}

/// The texts of a row, without some of those that the row above has as well.
fn filled(
    random: &mut Rng,
    table: &Table,
    row: &Row,
    own: &[usize],
    above: &mut [Option<String>],
) -> Vec<String> {
    let text = |column: usize| row.cells[column].as_ref().map_or("", |cell| cell.text.as_str());
    let mut cells: Vec<String> = own.iter().map(|&column| text(column).to_owned()).collect();
    if row.is_total {
        return cells;
    }
    let as_it_is = cells.clone();
    for (cell, (&column, above)) in cells.iter_mut().zip(own.iter().zip(above)) {
        if table.columns[column].is_filled {
            if above.as_deref() == Some(cell.trim()) && random.u8(..4) > 0 {
                cell.clear();
            } else {
                *above = Some(cell.trim().to_owned());
            }
        }
    }
    // A row of nothing is no row.
    if cells.iter().all(|cell| cell.trim().is_empty()) { as_it_is } else { cells }
}
