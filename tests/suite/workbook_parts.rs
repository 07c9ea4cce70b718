//! Workbook parts: a workbook made of its XML, so that it may have what no library writes.

use crate::forms::zip;

/// A sheet: its name, `visible` or `hidden`, and its rows.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Its name.
    pub name: &'static str,
    /// Whether Excel shows it.
    pub is_hidden: bool,
    /// The XML within `sheetData`.
    pub rows: String,
}

/// A workbook of these sheets and shared texts.
pub fn workbook(sheets: &[Sheet], shared: &[&str], is_1904: bool) -> Vec<u8> {
    let parts = parts(sheets, shared, is_1904);
    let members: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, xml)| (name.as_str(), xml.as_bytes())).collect();
    zip(&members)
}

/// Its parts.
pub fn parts(sheets: &[Sheet], shared: &[&str], is_1904: bool) -> Vec<(String, String)> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
    let numbered = || (1..).zip(sheets);
    let listed = numbered().map(|(number, sheet)| {
        let state = if sheet.is_hidden { " state=\"hidden\"" } else { "" };
        format!("<sheet name=\"{}\" sheetId=\"{number}\"{state} r:id=\"rId{number}\"/>", sheet.name)
    });
    let listed: String = listed.collect();
    let related = numbered().map(|(number, _)| {
        format!("<Relationship Id=\"rId{number}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{number}.xml\"/>")
    });
    let related: String = related.collect();
    let date1904 = if is_1904 { "<workbookPr date1904=\"1\"/>" } else { "" };
    let texts: String =
        shared.iter().map(|text| format!("<si><t>{}</t></si>", escaped(text))).collect();
    let count = shared.len();
    let mut parts = vec![
        (
            "_rels/.rels".to_owned(),
            format!(
                "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!(
                "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\">{date1904}<sheets>{listed}</sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!("<Relationships xmlns=\"{PACKAGE}\">{related}</Relationships>"),
        ),
        // 1 is a day, 2 a moment, 3 a duration, 4 text.
        (
            "xl/styles.xml".to_owned(),
            format!(
                "<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"5\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/><xf numFmtId=\"46\"/><xf numFmtId=\"49\"/></cellXfs></styleSheet>"
            ),
        ),
        (
            "xl/sharedStrings.xml".to_owned(),
            format!("<sst xmlns=\"{MAIN}\" uniqueCount=\"{count}\">{texts}</sst>"),
        ),
    ];
    parts.extend(numbered().map(|(number, sheet)| {
        let xml = format!("<worksheet xmlns=\"{MAIN}\"><dimension ref=\"A1:XFD1048576\"/><sheetData>{}</sheetData></worksheet>", sheet.rows);
        (format!("xl/worksheets/sheet{number}.xml"), xml)
    }));
    parts
}

/// A sheet of rows, each of cells: a text, or what a colon says of it: `n:1` a number, `d:`, `m:`,
/// `h:` one in the format of days, moments, durations, `b:` a truth value, `e:` an error, `s:` a
/// shared text by its number, `f:FORMULA=VALUE` a formula with the value of before, `f:FORMULA` one
/// without, `` nothing.
pub fn sheet(name: &'static str, rows: &[&[&str]]) -> Sheet {
    let row = |(number, cells): (usize, &&[&str])| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let place =
                format!("{}{number}", char::from(b'A' + u8::try_from(column).expect("few")));
            xml_of(&place, cell)
        });
        format!("<row r=\"{number}\">{}</row>", cells.collect::<String>())
    };
    Sheet { name, is_hidden: false, rows: (1..).zip(rows).map(row).collect() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn xml_of(place: &str, cell: &str) -> String {
    let number =
        |style: u8, value: &str| format!("<c r=\"{place}\" s=\"{style}\"><v>{value}</v></c>");
    let typed =
        |kind: &str, value: &str| format!("<c r=\"{place}\" t=\"{kind}\"><v>{value}</v></c>");
    match cell.split_once(':') {
        Some(("n", value)) => number(0, value),
        Some(("d", value)) => number(1, value),
        Some(("m", value)) => number(2, value),
        Some(("h", value)) => number(3, value),
        Some(("b", value)) => typed("b", value),
        Some(("e", value)) => typed("e", value),
        Some(("s", value)) => typed("s", value),
        Some(("f", formula)) => match formula.split_once('=') {
            Some((formula, value)) => {
                format!("<c r=\"{place}\"><f>{formula}</f><v>{value}</v></c>")
            }
            None => format!("<c r=\"{place}\"><f>{formula}</f></c>"),
        },
        _ if cell.is_empty() => String::new(),
        _ => format!(
            "<c r=\"{place}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{}</t></is></c>",
            escaped(cell)
        ),
    }
}
