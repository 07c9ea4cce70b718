//! Any cells under any columns: what the repair finds is what trying every way finds.

#![no_main]

use tidegate::source::rows::repair::{Repair, Row, repair};

/// More would make trying every way slow.
const COLUMNS_MAX: usize = 8;
const CELLS_MAX: usize = 14;

/// What a column takes; a cell is one of four letters, `.` being empty.
const TAKES: [(&str, bool); 6] =
    [("1.", false), ("1a.", true), ("ab1.", false), ("s.", false), ("ab1s.", true), ("1", false)];

struct Line {
    columns: Vec<(&'static str, bool)>,
    cells: Vec<char>,
}

impl Row for Line {
    fn columns(&self) -> usize {
        self.columns.len()
    }
    fn cells(&self) -> usize {
        self.cells.len()
    }
    fn is_empty(&self, cell: usize) -> bool {
        self.cells[cell] == '.'
    }
    fn swallows(&self, column: usize) -> bool {
        self.columns[column].1
    }
    fn has_form(&self, _: usize, _: usize, _: usize) -> bool {
        true
    }
    fn may_swallow(&self, _: usize) -> bool {
        false
    }
    fn conforms(&self, column: usize, cell: usize) -> bool {
        self.columns[column].0.contains(self.cells[cell])
    }
    fn may_stand(&self, column: usize, cell: usize) -> bool {
        self.conforms(column, cell)
    }
    fn has_usual_count(&self) -> bool {
        self.cells.len() == self.columns.len()
    }
    fn is_required(&self, column: usize) -> bool {
        column == 0
    }
    fn is_cut_amount(&self, _: usize, _: usize, _: usize) -> bool {
        false
    }
    fn may_be_amount(&self, _: usize, _: usize) -> bool {
        false
    }
    fn is_clear_amount(&self, _: usize, _: usize) -> bool {
        true
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let count = 1 + usize::from(count) % COLUMNS_MAX;
    let Some((columns, cells)) = rest.split_at_checked(count) else { return };
    let line = Line {
        columns: columns.iter().map(|&byte| TAKES[usize::from(byte) % TAKES.len()]).collect(),
        cells: cells
            .iter()
            .take(CELLS_MAX)
            .map(|&byte| ['1', 'a', 's', '.', 'b'][usize::from(byte) % 5])
            .collect(),
    };
    let found = repair(&line);
    if let Repair::Shifted(widths) = &found {
        put_together_they_are_the_row(&line, widths);
    }
    assert_eq!(simple(found), expected(&line), "{:?} {:?}", line.columns, line.cells);
});

fn put_together_they_are_the_row(line: &Line, widths: &[usize]) {
    assert_eq!(widths.len(), line.columns.len(), "every column gets its cells");
    assert!(widths.iter().all(|&width| width > 0), "at least one each");
    let used: usize = widths.iter().sum();
    assert!(
        used <= line.cells.len() && line.cells[used..].iter().all(|&cell| cell == '.'),
        "no text is left over"
    );
}

#[derive(Debug, PartialEq, Eq)]
enum Simple {
    Fits,
    Shifted(Vec<usize>),
    Ambiguous,
    Impossible,
}

fn simple(repair: Repair) -> Simple {
    match repair {
        Repair::Fits => Simple::Fits,
        Repair::Shifted(widths) => Simple::Shifted(widths),
        Repair::Ambiguous(ways) => {
            assert!(ways.len() > 1 && ways[0] != ways[1], "two ways are two");
            Simple::Ambiguous
        }
        Repair::Impossible => Simple::Impossible,
    }
}

/// The rule as the contract says it, by trying every way.
fn expected(line: &Line) -> Simple {
    let (columns, cells) = (line.columns.len(), line.cells.len());
    // A row that fits by its count is left alone; one with fewer cells fits if they do, and it has
    // the required one.
    if cells == columns {
        return Simple::Fits;
    }
    if cells < columns {
        let is_whole = cells > 0 && (0..cells).all(|cell| line.conforms(cell, cell));
        return if is_whole { Simple::Fits } else { Simple::Impossible };
    }
    let mut ways = Vec::new();
    every_way(line, 0, &mut Vec::new(), &mut ways);
    let swallowed = |widths: &Vec<usize>| widths.iter().sum::<usize>() - columns;
    let Some(fewest) = ways.iter().map(swallowed).min() else { return Simple::Impossible };
    ways.retain(|widths| swallowed(widths) == fewest);
    match (ways.len(), fewest) {
        (1, 0) => Simple::Fits,
        (1, _) => Simple::Shifted(ways.remove(0)),
        _ => Simple::Ambiguous,
    }
}

/// All ways to give the cells to the columns that leave nothing but empty cells over.
fn every_way(line: &Line, cell: usize, widths: &mut Vec<usize>, ways: &mut Vec<Vec<usize>>) {
    let Some(&(takes, swallows)) = line.columns.get(widths.len()) else {
        if line.cells[cell..].iter().all(|&cell| cell == '.') {
            ways.push(widths.clone());
        }
        return;
    };
    for width in 1..=line.cells.len().saturating_sub(cell) {
        let fits = if width == 1 { takes.contains(line.cells[cell]) } else { swallows };
        if fits {
            widths.push(width);
            every_way(line, cell + width, widths, ways);
            widths.pop();
        }
    }
}
