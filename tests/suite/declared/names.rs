//! Names: how exports call their columns, what tables call them then, and in which alphabets and
//! encodings they are written.

use encoding_rs::Encoding;
use fastrand::Rng;

/// Names as exports have them, and the columns that they become.
pub const IN_FILES: [(&str, &str); 33] = [
    ("Order No.", "order_no"),
    ("Amount (net)", "amount_net"),
    ("Größe [cm]", "größe_cm"),
    ("Zip/Code", "zip_code"),
    ("Ship-To City", "ship_to_city"),
    ("名前", "名前"),
    ("商品 名", "商品_名"),
    ("Дата заказа", "дата_заказа"),
    ("Имя", "имя"),
    ("Total €", "total"),
    ("e-mail", "e_mail"),
    ("market", "market"),
    ("Line No", "line_no"),
    ("line_count", "line_count"),
    ("rowid", "rowid"),
    ("x'y\"z", "x_y_z"),
    ("first; last", "first_last"),
    ("a, b", "a_b"),
    ("Qty", "qty"),
    ("Menge", "menge"),
    ("Preis", "preis"),
    ("Étage", "étage"),
    ("Łódź", "łódź"),
    ("two\nlines", "two_lines"),
    ("_hidden_", "hidden"),
    ("Item #", "item"),
    ("Number of Employees", "number_of_employees"),
    ("2nd Price", "2nd_price"),
    ("select", "select"),
    ("Kunde", "kunde"),
    ("tab|pipe", "tab_pipe"),
    ("Belegnummer", "belegnummer"),
    ("_rescued", "rescued"),
];

/// Names that tables have for themselves, or databases: an export's column gets a suffix.
const KEPT: [&str; 4] = ["market", "line_no", "line_count", "rowid"];

/// What a table calls a column whose name is this one in snake case.
pub fn stored_name(snake: &str) -> String {
    if KEPT.contains(&snake) { format!("{snake}_2") } else { snake.to_owned() }
}

/// Names of columns in tables, where a declaration makes them of others.
pub const IN_TABLES: [&str; 20] = [
    "amount",
    "bought_at",
    "buyer",
    "city",
    "code",
    "document",
    "ext_ref",
    "flag",
    "group_name",
    "height",
    "kind_of",
    "note",
    "paid",
    "part",
    "ratio",
    "seen_on",
    "state_of_it",
    "units",
    "vat",
    "weight_kg",
];

/// Encodings, by the labels that a declaration may have for them, and letters that they have.
pub const ENCODINGS: [(&str, &str); 20] = [
    ("utf-8", "äßéŁ名字ДяΩ€😀"),
    ("UTF8", "äßéŁ名字ДяΩ€"),
    ("utf-16le", "äß名字Дя😀"),
    ("utf-16be", "äß名字Дя"),
    ("windows-1252", "äöüßéÈñ€œ–’"),
    ("latin1", "äöüßéÈñ€œ"),
    ("windows-1250", "äöłŁźřžŐ€"),
    ("windows-1251", "ДяЖщюёй№"),
    ("windows-1253", "ΩαβγΔ"),
    ("windows-1254", "şŞİığĞü"),
    ("ISO-8859-15", "äöéœŒŠž€"),
    ("iso-8859-2", "łŁźřžŐá"),
    ("koi8-r", "ДяЖщюёй"),
    ("ibm866", "ДяЖщюёй"),
    ("macintosh", "äöüßéÈñŒ€"),
    ("shift_jis", "名前表示ソ能アｱ"),
    ("euc-jp", "名前表示ソ能ア"),
    ("gbk", "名字商品价格镕"),
    ("big5", "名字商品功許蓋"),
    ("gb18030", "名字商品€镕😀"),
];

/// Whether an encoding has all of a text.
pub fn can_write(label: &str, text: &str) -> bool {
    if label.to_ascii_lowercase().starts_with("utf") {
        return true;
    }
    let encoding = Encoding::for_label(label.as_bytes()).expect("a label of the standard");
    let (bytes, _, has_gaps) = encoding.encode(text);
    // What does not come back is a fault of the encoding.
    !has_gaps && encoding.decode_without_bom_handling(&bytes).0 == text
}

/// A text in an encoding.
pub fn encoded(label: &str, text: &str, has_mark: bool) -> Vec<u8> {
    let mark = if has_mark { "\u{feff}" } else { "" };
    let text = format!("{mark}{text}");
    match label.to_ascii_lowercase().as_str() {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-8" | "utf8" => text.into_bytes(),
        label => {
            let encoding = Encoding::for_label(label.as_bytes()).expect("a label of the standard");
            encoding.encode(&text).0.into_owned()
        }
    }
}

/// Another spelling of a name that means the same column.
pub fn respelt(random: &mut Rng, name: &str, is_encodable: impl Fn(&str) -> bool) -> String {
    let other = match random.u8(..7) {
        0 => name.to_uppercase(),
        1 => name.to_lowercase(),
        2 => name.replace(' ', "_"),
        3 => name.replace(' ', "  "),
        4 => name.replace([' ', '-'], "/"),
        _ => name.to_owned(),
    };
    // `İ` and `ß` change with their case.
    let is_same = other.to_lowercase().chars().count() == name.to_lowercase().chars().count()
        || other.contains("  ");
    if is_same && is_encodable(&other) { other } else { name.to_owned() }
}
