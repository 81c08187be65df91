use super::*;

/// The first match anywhere in the text.
fn first<'t>(pattern: &str, text: &'t str) -> Option<&'t str> {
    let regex = anywhere(pattern).unwrap_or_else(|refused| panic!("{refused}"));
    regex.find(text).map(|found| found.as_str())
}

#[test]
fn classes_of_perl_are_those_of_ascii() {
    assert_eq!(first(r"\d+", "٣4"), Some("4"));
    assert_eq!(first(r"\w+", "éa_1"), Some("a_1"));
    assert_eq!(first(r"\W+", "aéb"), Some("é"));
    assert_eq!(first(r"[^\d]", "3٣"), Some("٣"));
    assert_eq!(first(r"[\D]", "3٣"), Some("٣"));
    assert_eq!(first(r"\s", "\u{b}\u{a0}"), None);
    assert_eq!(first(r"\bb", "éb"), Some("b"));
}

#[test]
fn a_backslash_takes_the_meaning_from_any_sign() {
    assert_eq!(first(r"\<a\>", "<a>"), Some("<a>"));
    assert_eq!(first(r"\&\-\/", "&-/"), Some("&-/"));
}

#[test]
fn what_stands_between_q_and_e_is_as_it_stands() {
    let cases = [
        (r"\Qa.b*\E+", "a.bb*", None),
        (r"\Qa.b*\E+", "a.b**", Some("a.b**")),
        (r"x\Q\E+", "xxx", Some("xxx")),
        (r"\Qé\E{2}", "éé", Some("éé")),
        (r"\Qa\\E", r"a\", Some(r"a\")),
        (r"\Q(\Qa", r"(\Qa", Some(r"(\Qa")),
        (r"[]\]]\Q]\E", "]]", Some("]]")),
        (r"[[:alpha:]]\Q.", "b.", Some("b.")),
        (r"\\Qa", r"\Qa", Some(r"\Qa")),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(first(pattern, text), expected, "{pattern}");
    }
}

#[test]
fn a_quote_without_an_end_swallows_what_label_replace_writes_behind_it() {
    assert!(whole(r"a\Q.").unwrap().is_match("a."));
    assert!(whole_in_place(r"a\Q.\E").unwrap().is_match("a."));
    let refusal = whole_in_place(r"a\Q.").expect_err("no end");
    assert!(refusal.contains("unclosed group"), "{refusal}");
}

#[test]
fn octal_numbers_are_read_as_far_as_go_reads_them() {
    assert_eq!(first(r"\101", "A"), Some("A"));
    assert_eq!(first(r"\1012", "A2"), Some("A2"));
    assert_eq!(first(r"\08", "\u{0}8"), Some("\u{0}8"));
    assert_eq!(first(r"\777", "\u{1ff}"), Some("\u{1ff}"));
    assert_eq!(first(r"[\60-\62]+", "0123"), Some("012"));
    assert_eq!(first(r"[\0\10]", "\u{8}"), Some("\u{8}"));
}

#[test]
fn a_whole_pattern_matches_all_of_a_text_with_its_newlines() {
    let is_match = |pattern, text| whole(pattern).unwrap().is_match(text);
    assert!(is_match("a.*", "a\nb"));
    assert!(is_match("a|b", "b"));
    assert!(!is_match("a|b", "ab"));
    assert!(!is_match("a", "a\n"));
}

#[test]
fn what_go_reads_otherwise_is_refused_with_the_part_that_it_is() {
    let cases = [
        ("[a&&b]", "`a&&b` are single signs to Go"),
        ("[a--b]", "single signs"),
        ("[a~~b]", "single signs"),
        ("[a[b]]", "`[b]` is no class within a class"),
        ("x**", "`x**` repeats a repetition"),
        ("x*+", "repeats a repetition"),
        ("x{2}{3}", "repeats a repetition"),
        ("(?x)a", "`x` is no flag to Go"),
        ("(?u:a)", "`u` is no flag"),
        ("(?R)$", "`R` is no flag"),
        ("x{,5}", "expects a valid decimal"),
        ("x{1, 2}", "`{1, 2}` is no repetition"),
        ("x{1001}", "more than 1000 times"),
        ("((x{100}){11})", "more than 1000 times"),
        (r"\B", "`\\B` is read differently"),
        (r"\b{start}a", "read differently"),
        (r"\u0041", "no escape to Go"),
        (r"\u{41}", "no escape to Go"),
        (r"[\U00000041-z]", "no escape to Go"),
        (r"\pL", "version of Unicode"),
        (r"[\p{Greek}]", "version of Unicode"),
        ("(?<a.b>x)", "`a.b` is no name of a group"),
        ("(", "unclosed group"),
        (r"a\E", "unrecognized escape"),
        (r"[\Qa\E]", "unrecognized escape"),
        (r"\1", "backreferences are not supported"),
        (r"\8", "backreferences are not supported"),
        ("(a{501}){2}", "more than 1000 times"),
        (r"([^x]{900}|[^y]{900}|[^z]{900})", "size limit"),
    ];
    for (pattern, reason) in cases {
        let refusal = whole(pattern).expect_err(pattern);
        let names_it = refusal.contains(&format!("`{pattern}` is not a regular expression here"));
        assert!(names_it && refusal.contains(reason), "{pattern}: {refusal}");
    }
}

#[test]
fn repetitions_beside_each_other_do_not_add_up() {
    for pattern in ["x{1000}", "x{600}y{600}", "(x{10}){100}", "(x{0}){1000}"] {
        assert!(whole(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn a_replacement_is_written_out_as_go_does() {
    let cases = [
        ("$1-$2", "ab-cd"),
        ("$1x", ""),
        ("${1}x", "abx"),
        ("$$1", "$1"),
        ("$01", ""),
        ("${01}|$00", "|"),
        ("$0", "ab cd"),
        ("$name.$9", "cd."),
        ("${}", "${}"),
        ("${a-b}", "${a-b}"),
        ("${1", "${1"),
        ("$", "$"),
        ("a$ b", "a$ b"),
    ];
    let regex = whole("(a.) (?P<name>c.)").unwrap();
    let captures = regex.captures("ab cd").unwrap();
    for (template, expected) in cases {
        let mut written = String::new();
        let replacement = Replacement::read(template).unwrap();
        replacement.expand(&captures, &mut written);
        assert_eq!(written, expected, "{template}");
    }
}

#[test]
fn a_replacement_whose_name_has_no_certain_end_is_refused() {
    for template in ["$1é", "${é}", "$é"] {
        let refusal = Replacement::read(template).expect_err(template);
        assert!(refusal.contains("not certain"), "{refusal}");
    }
    assert!(Replacement::read("é$1.é").is_ok());
}
