//! `heapwright explore`: what the page holds.

use crate::support::Here;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use wasmparser::{Parser, Payload};

const LIST: &str = r#"(module
    (type $node (struct (field (mut i32)) (field (mut (ref null $node)))))
    (import "" "out" (func $out (param i32)))
    (func $list (param $n i32) (result (ref null $node)) (local $head (ref null $node))
      (loop $again
        (local.set $head (struct.new $node (local.get $n) (local.get $head)))
        (call $out (local.get $n))
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $head))
    (func $link (param $from (ref null $node)) (param $to (ref null $node))
      (struct.set $node 1 (local.get $from) (local.get $to)))
    (func (export "f") (param i32) (result i32)
      (call $link (call $list (local.get 0)) (call $list (i32.const 3)))
      (i32.div_s (local.get 0) (i32.const 7))))"#;

/// The data of a page, after a look at the page itself.
fn data(here: &Here, file: &str) -> Value {
    let page = fs::read_to_string(here.path(file)).unwrap();
    for outside in ["http:", "https:", " src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "the page stands alone, without {outside}");
    }
    assert_eq!(page.matches("</script>").count(), 2, "no name ends a script");
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

fn lines<'a>(function: &'a Value, column: &str) -> Vec<&'a [Value]> {
    function[column].as_array().unwrap().iter().map(|line| line.as_array().unwrap().as_slice()).collect()
}

/// What stands beside the instructions of a function, of one kind.
fn notes<'a>(function: &'a Value, kind: &str) -> Vec<&'a str> {
    let notes = lines(function, "code").into_iter().flat_map(|line| line[4].as_array().unwrap());
    notes.filter(|note| note[0] == kind).map(|note| note[1].as_str().unwrap()).collect()
}

#[test]
fn a_page_holds_every_function_in_three_forms() {
    let here = Here::with("list.wat", LIST);
    here.heapwright(["explore", "--without", "inlining", "list.wat"]).prints("list.html\n");
    let page = data(&here, "list.html");
    assert_eq!((&page["file"], &page["collector"]), (&"list.wat".into(), &"generational".into()));
    let functions = page["functions"].as_array().unwrap();
    assert_eq!((functions.len(), &page["total"]), (3, &3.into()));
    let wasm = wat::parse_str(LIST).unwrap();
    let bodies = Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload.unwrap() {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    for (function, body) in functions.iter().zip(bodies) {
        // Each instruction stands on a line of its own.
        let mut offsets = BTreeSet::new();
        let mut reader = body.get_operators_reader().unwrap();
        while !reader.eof() {
            offsets.insert(reader.read_with_offset().unwrap().1);
        }
        let shown: Vec<u64> = lines(function, "wasm").iter().map(|line| line[0].as_u64().unwrap()).collect();
        assert!(shown.is_sorted());
        assert!(offsets.is_subset(&shown.iter().copied().collect()), "{offsets:x?} among {shown:x?}");
        let starts = body.range().start;
        // CLIF and code belong to instructions of the function, or to none.
        let mut linked = 0;
        for line in lines(function, "clif").into_iter().chain(lines(function, "code")) {
            let offset = line[0].as_i64().unwrap();
            assert!(offset == -1 || offset as u64 == starts || offsets.contains(&(offset as u64)), "{line:?}");
            linked += usize::from(offset != -1);
        }
        assert!(linked > 5);
        let addresses: Vec<u64> = lines(function, "code").iter().map(|line| line[2].as_u64().unwrap()).collect();
        assert!(addresses.is_sorted_by(|a, b| a < b) && addresses[0] == 0);
        assert!(*addresses.last().unwrap() < function["bytes"].as_u64().unwrap());
        assert!(lines(function, "clif")[0][2].as_str().unwrap().starts_with("function "));
        // Every stack map is beside the call that it belongs to.
        assert_eq!(notes(function, "map").len() as u64, function["maps"].as_u64().unwrap());
    }
    let (list, rest) = (&functions[0], &functions[2]);
    assert_eq!((&list["name"], &rest["name"], &list["index"]), (&"list".into(), &Value::Null, &1.into()));
    assert!(notes(list, "map").iter().any(|map| map.starts_with("rbp-0x")), "{:?}", notes(list, "map"));
    assert_eq!(notes(rest, "call"), ["1", "1", "2"]);
    assert_eq!(notes(rest, "trap"), ["call stack exhausted"], "a division by seven cannot trap");
    assert!(notes(&functions[1], "trap").iter().any(|trap| trap.contains("null")));
}

#[test]
fn what_is_marked_depends_on_the_collector() {
    let here = Here::with("list.wat", LIST);
    let marks = |collector: &str| -> BTreeSet<(String, String)> {
        let arguments = ["explore", "--without=inlining", "--collector", collector, "-o", "x.html", "list.wat"];
        here.heapwright(arguments).prints("x.html\n");
        let page = data(&here, "x.html");
        assert_eq!(page["collector"], collector);
        let functions = page["functions"].as_array().unwrap();
        let marked = functions.iter().flat_map(|function| {
            let lines = lines(function, "code").into_iter().chain(lines(function, "clif"));
            let marks = lines.map(|line| line[1].as_str().unwrap()).filter(|mark| !mark.is_empty());
            marks.map(|mark| (function["name"].as_str().unwrap_or("?").to_owned(), mark.to_owned()))
        });
        marked.collect()
    };
    let of = |function: &str, mark: &str| (function.to_owned(), mark.to_owned());
    assert_eq!(marks("null"), BTreeSet::from([of("list", "a")]));
    assert_eq!(marks("generational"), BTreeSet::from([of("list", "a"), of("link", "b")]));
}

#[test]
fn bytecode_is_shown_too() {
    let here = Here::with("list.wat", LIST);
    here.heapwright(["explore", "--target", "pulley64", "list.wat"]).prints("list.html\n");
    let page = data(&here, "list.html");
    assert_eq!(page["machine"], "Pulley bytecode");
    for function in page["functions"].as_array().unwrap() {
        let code = lines(function, "code");
        assert!(code[0][3].as_str().unwrap().starts_with("push_frame"), "{:?}", code[0]);
        assert_eq!(notes(function, "map").len() as u64, function["maps"].as_u64().unwrap());
        assert!(code.iter().any(|line| line[0] != -1));
    }
}

#[test]
fn functions_are_chosen_by_name_and_index() {
    let here = Here::with("list.wat", LIST);
    let chosen = |args: &[&str]| -> Vec<u64> {
        here.heapwright([&["explore", "-o", "x.html"], args, &["list.wat"]].concat()).prints("x.html\n");
        let page = data(&here, "x.html");
        assert_eq!(page["total"], 3);
        page["functions"].as_array().unwrap().iter().map(|f| f["index"].as_u64().unwrap()).collect()
    };
    assert_eq!(chosen(&["--function", "link"]), [2]);
    assert_eq!(chosen(&["--function", "3", "--function", "list"]), [1, 3]);
    // One that was asked for is shown whatever its size.
    assert_eq!(chosen(&["--function", "list", "--max-wasm", "1"]), [1]);
    fs::remove_file(here.path("x.html")).unwrap();
    let missing = here.heapwright(["explore", "-o", "x.html", "--function", "absent", "--function", "0", "list.wat"]);
    missing.fails(1, &["list.wat defines no function 0, absent"]);
    assert!(!here.path("x.html").exists());
}

#[test]
fn what_is_too_much_is_left_out_with_a_reason() {
    let here = Here::with("list.wat", LIST);
    let explore = |args: &[&str]| {
        let ended = here.heapwright([&["explore"], args, &["list.wat"]].concat());
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "list.html\n"), "{ended:?}");
        (ended.err, data(&here, "list.html")["functions"].as_array().unwrap().len())
    };
    let (reason, shown) = explore(&["--limit", "2"]);
    assert_eq!(shown, 2);
    assert!(reason.contains("the first 2 of 3 functions: --limit 2 allows no more"), "{reason}");
    let (reason, shown) = explore(&["--max-wasm", "30"]);
    assert_eq!(shown, 0);
    assert!(reason.contains("the first 0 of 3 functions: --max-wasm allows no more than 30 bytes"), "{reason}");
    assert_eq!(explore(&["--limit", "3"]), (String::new(), 3));
}

#[test]
fn names_are_not_markup() {
    let name = "</script><script>alert(1)</script><!--";
    let here = Here::with("a.wat", format!(r#"(module (func $"{name}" (result i32) (i32.const 1)))"#));
    here.heapwright(["explore", "a.wat"]).prints("a.html\n");
    assert_eq!(data(&here, "a.html")["functions"][0]["name"], name);
}

#[test]
fn what_cannot_be_explored() {
    let here = Here::with("bad.wat", "(module (func (result i32)))");
    here.heapwright(["explore", "bad.wat"]).fails(1, &["cannot load bad.wat"]);
    here.heapwright(["explore", "absent.wasm"]).fails(1, &["cannot read absent.wasm"]);
    here.heapwright(["explore", "--collector", "absent", "bad.wat"]).fails(2, &["absent"]);
    here.file("empty.wat", "(module)");
    here.heapwright(["explore", "-o", "no/place.html", "empty.wat"]).fails(1, &["cannot write no/place.html"]);
    here.heapwright(["explore", "empty.wat"]).prints("empty.html\n");
    assert_eq!(data(&here, "empty.html")["total"], 0);
}
