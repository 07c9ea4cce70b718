//! Tests of encodings: what is guessed, and what text it makes.

use super::*;

fn guess(bytes: &[u8]) -> Guessed {
    let whole = {
        let mut guess = Guess::default();
        guess.observe(bytes);
        guess.guessed()
    };
    for length in 1..8 {
        // The first block is large enough for zero bytes to show.
        let mut guess = Guess::default();
        let (first, rest) = bytes.split_at(bytes.len().min(16));
        guess.observe(first);
        rest.chunks(length).for_each(|block| guess.observe(block));
        assert_eq!(guess.guessed(), whole, "in blocks of {length}: {}", bytes.escape_ascii());
    }
    whole
}

fn transcoded(bytes: &[u8], encoding: Encoding, block: usize) -> Vec<u8> {
    let mut transcoder = Transcoder::new(encoding);
    let mut text = Vec::new();
    bytes.chunks(block).for_each(|block| transcoder.transcode(block, &mut text));
    transcoder.finish(&mut text).expect("whole characters");
    text
}

#[test]
fn text_that_the_usual_encodings_read_alike_is_that() {
    for text in [
        "caf\u{e9}",
        "Stra\u{df}e, K\u{f6}ln, \u{c4}rger",
        "Jos\u{e9} \u{c1}lvarez, M\u{fc}ller",
        "\u{e9}",
    ] {
        let (bytes, _, is_lossy) = WINDOWS_1252.encode(text);
        assert!(!is_lossy);
        assert_eq!(guess(&bytes), Guessed::Other { is_shared: true }, "{text}");
        for encoding in USUAL {
            assert_eq!(transcoded(&bytes, Encoding::Legacy(encoding), 1), text.as_bytes());
        }
    }
    // Other letters in one of them, or none.
    for bytes in [
        b"cr\xe8me".as_slice(),
        b"Gda\xf1sk",
        b"5 \x80",
        b"\x93caf\xe9\x94",
        b"caf\xe9 \x81",
        b"\xa4 5",
    ] {
        assert_eq!(guess(bytes), Guessed::Other { is_shared: false }, "{}", bytes.escape_ascii());
    }
}

#[test]
fn text_in_utf_8_that_was_damaged_is_utf_8() {
    for bytes in [
        "plain text, plain text, caf\u{e9}".as_bytes(),
        b"caf\xe9 and caf\xc3\xa9",
        b"plain",
        b"caf\xe9, and plain text with a \0 in it",
        b"",
        b"a,\0b,c,d,e,f,g,h,i,j,k,l",
    ] {
        assert_eq!(guess(bytes), Guessed::Is(Encoding::Utf8), "{}", bytes.escape_ascii());
    }
    assert_eq!(guess(b"caf\xe9, caf\xe9 and caf\xc3\xa9"), Guessed::Other { is_shared: false });
    // Chinese of GBK, of which some is UTF-8 by chance; a word of a single-byte encoding beside it.
    for bytes in
        [b"\xc4\xbe, \xc4\xbe, \xb6\xaf".as_slice(), b"caf\xc3\xa9 \xe9s", b"caf\xc3\xa9 \xe9\xe8"]
    {
        assert!(matches!(guess(bytes), Guessed::Other { .. }), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_encoding_makes_the_text_and_keeps_what_it_does_not_have() {
    for (encoding, text) in [
        (encoding_rs::WINDOWS_1251, "Привет"),
        (WINDOWS_1254, "İstanbul, ığdır"),
        (encoding_rs::SHIFT_JIS, "日本語,ハンドメイド"),
        (encoding_rs::GBK, "中文名"),
        (encoding_rs::EUC_KR, "한국어"),
        (encoding_rs::BIG5, "繁體"),
        (encoding_rs::GB18030, "𠮷野家"),
    ] {
        let bytes = encoding.encode(text).0;
        for block in 1..5 {
            assert_eq!(
                transcoded(&bytes, Encoding::Legacy(encoding), block),
                text.as_bytes(),
                "{}",
                encoding.name()
            );
        }
    }
    for (encoding, bytes, bad) in [
        (WINDOWS_1252, b"a\x81\x8db".as_slice(), b"\x81\x8d".as_slice()),
        (encoding_rs::WINDOWS_1253, b"a\xaab", b"\xaa"),
        (encoding_rs::SHIFT_JIS, b"a\xff\xffb", b"\xff\xff"),
        (encoding_rs::EUC_JP, b"a\xfdb", b"\xfd"),
    ] {
        for block in 1..4 {
            let text = transcoded(bytes, Encoding::Legacy(encoding), block);
            let invalid: Vec<u8> =
                text.utf8_chunks().flat_map(|chunk| chunk.invalid().to_vec()).collect();
            assert_eq!(written(&invalid, Encoding::Legacy(encoding)), bad, "{}", encoding.name());
            assert_eq!((text.first(), text.last()), (Some(&b'a'), Some(&b'b')));
        }
    }
}

#[test]
fn what_a_text_looks_like_is_named() {
    let look = |encoding: &'static encoding_rs::Encoding, text: &str| {
        let mut look = Look::default();
        look.observe(&encoding.encode(text).0);
        look.finish()
    };
    assert_eq!(look(encoding_rs::SHIFT_JIS, "日本語のハンドメイド石鹸").0.name(), "Shift_JIS");
    assert_eq!(look(encoding_rs::WINDOWS_1251, "Привет, как дела, заказ").0.name(), "windows-1251");
    assert!(look(WINDOWS_1252, "Stra\u{df}e in K\u{f6}ln, M\u{fc}ller").1);
}

#[test]
fn utf_16_shows_by_its_mark_or_its_zero_bytes() {
    for text in ["Order ID,SKU\n11,Käse 😀\n", "\u{feff}Заказ;1", "[]"] {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(guess(&little), Guessed::Is(Encoding::Utf16Le), "{text}");
        assert_eq!(guess(&big), Guessed::Is(Encoding::Utf16Be), "{text}");
        for block in 1..5 {
            assert_eq!(transcoded(&little, Encoding::Utf16Le, block), text.as_bytes());
            assert_eq!(transcoded(&big, Encoding::Utf16Be, block), text.as_bytes());
        }
    }
}

#[test]
fn half_a_pair_stays_what_it_was() {
    let units = [0x61, 0xd800, 0x62, 0xdc01, 0xdc02, 0xd83d];
    let bytes: Vec<u8> = units.iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
    let text = transcoded(&bytes, Encoding::Utf16Le, 2);
    assert!(std::str::from_utf8(&text).is_err());
    assert_eq!(text[0], b'a');
    assert_eq!(written(&text[1..4], Encoding::Utf16Le), [0x00, 0xd8]);
    assert_eq!(written(&text[5..11], Encoding::Utf16Be), [0xdc, 0x01, 0xdc, 0x02]);
    assert_eq!(written(&text[11..], Encoding::Utf16Le), [0x3d, 0xd8]);
}
