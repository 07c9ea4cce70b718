//! Writing: how a table's characters become bytes, and words in letters that such tables have.

use encoding_rs::Encoding;
use fastrand::Rng;

/// How characters are written.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    form: Form,
    /// Words as its users write them.
    words: &'static [&'static str],
    /// Letters that are not ASCII, of which words that nobody knows are made.
    letters: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Utf8 {
        is_marked: bool,
    },
    Utf16 {
        is_little: bool,
        is_marked: bool,
    },
    /// By the name that the standard has for it.
    Named(&'static str),
    /// Code page 850 of DOS, which the standard leaves out.
    Dos,
}

/// The upper half of code page 850.
const DOS: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

const ANY: (&[&str], &str) =
    (&["Größe", "naïve", "Łódź", "книга", "日本語", "İstanbul", "5 °C", "😀"], "éßłжΩ語ا");

/// Encodings of one or two bytes a character, with words and letters.
const NAMED: [(&str, &[&str], &str); 27] = [
    ("windows-1250", &["Łódź", "żółty", "Škoda", "gyűrű", "Köln", "á"], "ąćęłńóśźżčřšžőű"),
    (
        "windows-1252",
        &["crème", "Straße", "señor", "São Paulo", "5 °C", "Lego®", "“x”"],
        "éèüöäßñçø",
    ),
    ("windows-1254", &["İstanbul", "Iğdır", "şeker", "çiçek", "güneş", "kağıt"], "ışğçöüİŞĞ"),
    ("iso-8859-2", &["Łódź", "Škoda", "őszi", "příliš", "Köln"], "ąćęłńóśźżčřšžőű"),
    ("iso-8859-3", &["Ħamrun", "ġurnata", "ĉielo"], "ħġżċĉŝŭ"),
    ("iso-8859-4", &["Rīga", "Šiauliai", "māja", "võti"], "āēīūšžķļņãõ"),
    ("iso-8859-5", &["книга", "Москва", "Ж1", "А"], "абвгдежзийклмнопрстуАБВГЖ"),
    ("iso-8859-6", &["كتاب", "سلام"], "ابتثجحخدذرزس"),
    ("iso-8859-7", &["Αθήνα", "βιβλίο", "Χ", "Ωμέγα"], "αβγδεζηθικλμνξοΑΒΓΧΩ"),
    ("iso-8859-8", &["ספר", "שלום"], "אבגדהוזחטיכל"),
    ("iso-8859-10", &["Þór", "māja", "ģimene"], "ðþāēīūģķļ"),
    ("iso-8859-13", &["Rīga", "Šiauliai", "ēst", "mâ"], "āēīūčšžķļņąęįų"),
    ("iso-8859-15", &["œuvre", "à 5 €", "Žižek", "Straße"], "œžšéèüöß"),
    ("iso-8859-16", &["Ștefan", "țară", "Łódź"], "șțăâîłź"),
    ("windows-1251", &["книга", "Чай", "в", "USBкабель", "Ч5"], "абвгдежзийклмнопрстуЧ"),
    ("windows-1253", &["Αθήνα", "βιβλίο", "Χ"], "αβγδεζηθικλμνξοΑΒΓΧΩ"),
    ("windows-1257", &["Rīga", "māja", "ēst", "īsts", "Šiauliai"], "āēīūčšžķļņąęįų"),
    ("windows-1258", &["Đà", "đồng"], "đơưăâêô"),
    ("koi8-r", &["книга", "мама", "так", "и", "в", "USBкабель"], "абвгдежзийклмнопрсту"),
    ("ibm866", &["книга", "Чай"], "абвгдежзийклмнопрсту"),
    ("macintosh", &["crème", "Straße", "señor", "naïve", "„x“"], "éèüöäßñçø"),
    (
        "shift_jis",
        &["日本語", "ﾃｽﾄ", "表示", "ソフト", "瓠", "能力"],
        "あいうえカキク日本表示能ﾃｽﾄﾁﾉ",
    ),
    ("gbk", &["中文", "的", "北京", "木", "漏斗", "母亲"], "的北木母模墨啊动多吨"),
    ("big5", &["中文", "功能", "許蓋"], "的北木母模墨功能許蓋"),
    ("euc-jp", &["日本語", "表示"], "あいうえカキク日本表示能"),
    ("euc-kr", &["서울", "한국어"], "가나다라마바사서울한국"),
    ("gb18030", &["中文", "𠮷野家"], "的北木母模墨啊动多吨"),
];

impl Writing {
    /// UTF-8 without a mark.
    pub const UTF_8: Self = Self::of(Form::Utf8 { is_marked: false });

    const fn of(form: Form) -> Self {
        Self { form, words: ANY.0, letters: ANY.1 }
    }

    /// Any.
    pub fn any(random: &mut Rng) -> Self {
        match random.u8(..12) {
            0..4 => Self::UTF_8,
            4 => Self::of(Form::Utf8 { is_marked: true }),
            5 | 6 => {
                let (is_little, is_marked) = (random.bool(), random.u8(..4) > 0);
                Self::of(Form::Utf16 { is_little, is_marked })
            }
            7 => Self {
                form: Form::Dos,
                words: &["Straße", "Málaga", "ÍNDICE", "señor", "está", "Lego®", "5º", "Camões"],
                letters: "éèüöäßñçøáíóúõ",
            },
            _ => {
                let (name, words, letters) = NAMED[random.usize(..NAMED.len())];
                Self { form: Form::Named(name), words, letters }
            }
        }
    }

    /// A word in letters of its own: one that people write, or any letters.
    pub fn word(&self, random: &mut Rng) -> String {
        if random.bool() {
            return self.words[random.usize(..self.words.len())].to_owned();
        }
        let letters: Vec<char> = self.letters.chars().collect();
        let mut word: String =
            (0..random.usize(1..6)).map(|_| letters[random.usize(..letters.len())]).collect();
        match random.u8(..6) {
            0 => word.insert_str(0, "Box "),
            1 => word.push('e'),
            _ => {}
        }
        word
    }

    /// Whether there is a byte for each of its characters.
    pub fn has(&self, text: &str) -> bool {
        self.legacy(text).is_none_or(|bytes| bytes.is_some())
    }

    /// The bytes of a text. One that it has no letters for is written in UTF-8, as is one whose
    /// bytes would be those of another text in UTF-8, or in each of the usual encodings of Latin
    /// letters: whoever wrote them, that is what they say.
    pub fn bytes(&self, text: &str) -> Vec<u8> {
        match (self.form, self.legacy(text)) {
            (Form::Utf8 { is_marked: true }, _) => format!("\u{feff}{text}").into_bytes(),
            (Form::Utf16 { is_little, is_marked }, _) => {
                let mark = if is_marked { "\u{feff}" } else { "" };
                let to_bytes = if is_little { u16::to_le_bytes } else { u16::to_be_bytes };
                mark.encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes).collect()
            }
            (_, Some(Some(bytes)))
                if bytes.is_ascii()
                    || (str::from_utf8(&bytes).is_err() && !is_usual(&bytes, text)) =>
            {
                bytes
            }
            _ => text.as_bytes().to_vec(),
        }
    }

    /// The bytes of a text outside of Unicode's own encodings; `Some(None)` where it has none.
    fn legacy(&self, text: &str) -> Option<Option<Vec<u8>>> {
        match self.form {
            Form::Named(name) => {
                let encoding =
                    Encoding::for_label(name.as_bytes()).expect("a name of the standard");
                let (bytes, _, has_others) = encoding.encode(text);
                Some((!has_others).then(|| bytes.into_owned()))
            }
            Form::Dos => Some(text.chars().map(dos_byte).collect()),
            Form::Utf8 { .. } | Form::Utf16 { .. } => None,
        }
    }
}

/// Whether the encodings of which one need not be declared all make one text of the bytes, and
/// another one than they are.
fn is_usual(bytes: &[u8], text: &str) -> bool {
    let usual = ["windows-1250", "windows-1252", "windows-1254", "iso-8859-15"];
    let read = usual.map(|name| {
        let encoding = Encoding::for_label(name.as_bytes()).expect("a name of the standard");
        encoding.decode_without_bom_handling(bytes).0
    });
    read.iter().all(|one| *one == read[0]) && read[0] != text
}

fn dos_byte(c: char) -> Option<u8> {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => Some(byte),
        _ => DOS.chars().position(|own| own == c).and_then(|at| u8::try_from(0x80 + at).ok()),
    }
}
