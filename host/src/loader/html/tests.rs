//! What pages become, and that no page takes long.

use super::*;
use std::time::{Duration, Instant};

fn text(html: &str) -> String {
    page(html).text
}

#[test]
fn blocks_are_paragraphs_and_white_space_collapses() {
    let html = "<html><head><title> Tide\n table </title><style>p{}</style></head><body>\
        <h1>Tides</h1>\n<p>High  water\n at <b>six</b>.<p>Low &amp; slow&nbsp;water &#x1F30A;\
        <div>one<br>two<br><br>three</div></body></html>";
    let read = page(html);
    assert_eq!(read.title, "Tide table");
    let words = "Tides\n\nHigh water at six.\n\nLow & slow water 🌊\n\none\ntwo\n\nthree";
    assert_eq!(read.text, words);
}

#[test]
fn lists_and_tables_keep_their_lines() {
    let list = "Bring:<ul><li>rope</li><li><p>a <i>map</i></p><li>food<ol><li>bread<li>tea</ol>\
        <li></li></ul>Go.";
    assert_eq!(
        text(list),
        "Bring:\n\n- rope\n- a map\n\n- food\n- bread\n- tea\n\nGo."
    );
    let table = "<table><tr><th>Berth</th><th> Depth </th></tr>\n<tr><td><p>A1</p></td>\
        <td><p>12 m</p></td></tr><tr><td>B2<td>9 m</table>after";
    assert_eq!(text(table), "Berth | Depth\nA1 | 12 m\nB2 | 9 m\n\nafter");
}

#[test]
fn preformatted_text_stays_as_written() {
    let html = "<p>Run</p><pre>\n  if x:\n      <b>go</b>()\n\n</pre>  then";
    assert_eq!(text(html), "Run\n\n  if x:\n      go()\n\nthen");
}

#[test]
fn what_is_not_text_is_left_out() {
    for html in [
        "a<script>if (1 < 2) { x('</p>') }</script>b",
        "a<script><!-- <script> </script> --></script>b",
        "a<style>p > b {}</style>b",
        "a<noscript><p>no script</p></noscript>b",
        "a<template><template>x</template><p>y</p></template>b",
        "a<svg><title>drawn</title><text>t</text><svg></svg></svg>b",
        "a<svg><title/><style/></svg>b",
        "a<svg/>b",
        "a<iframe><p>x</iframe>b",
        "a<!-- <p>x</p> -->b",
        "a<![CDATA[x]]>b",
        "a<?php x ?>b",
        "a\0b",
        "a<!doctype html>b",
    ] {
        assert_eq!(text(html), "ab", "{html}");
        assert_eq!(page(html).title, "", "{html}");
    }
}

#[test]
fn a_page_without_a_title_has_its_first_heading() {
    let title = |html| page(html).title;
    assert_eq!(title("<h1>One <i>two</i></h1><h1>Three</h1>"), "One two");
    assert_eq!(title("<title> </title><h1>One</h1>"), "One");
    assert_eq!(title("<p>words"), "");
    let long = format!("<title>{}</title>", "é".repeat(10_000));
    assert_eq!(title(&long).chars().count(), TITLE_CHARS);
}

#[test]
fn what_never_ends_loses_nothing_that_a_reader_would_see() {
    assert_eq!(page("<title>T<p>words").text, "T<p>words");
    assert_eq!(text("<p>a<b>b<table><tr><td>c"), "ab\n\nc");
    assert_eq!(text("<p>a<textarea>b<p>c"), "a\nb<p>c");
    assert_eq!(text("<p>a<script>let x"), "a");
    assert_eq!(text("<p>a<!-- b"), "a");
    assert_eq!(text("</p></li></ul></pre></svg></table>a</h1>"), "a");
    assert_eq!(text("a < b & c &unknown; <"), "a < b & c &unknown; <");
}

/// Generous, since other builds may run beside the test: what grows with the square of the input
/// takes minutes.
fn soon(html: &str) -> Page {
    let begun = Instant::now();
    let read = page(html);
    let took = begun.elapsed();
    let start = &html[..20];
    assert!(took < Duration::from_secs(60), "{start} took {took:?}");
    read
}

#[test]
fn depth_and_size_cost_no_more_than_their_bytes() {
    for tag in [
        "div", "ul", "li", "table", "td", "pre", "svg", "template", "b", "x-y",
    ] {
        let open = format!("<{tag}>").repeat(100_000);
        let close = format!("</{tag}>").repeat(100_000);
        let read = soon(&format!("first {open} deep {close} last"));
        assert!(
            read.text.starts_with("first") && read.text.ends_with("last"),
            "{tag}"
        );
        soon(&format!("unclosed {open}"));
    }
    let mebi = 1 << 20;
    let attribute = format!("<p title=\"{}\">words</p>", "a".repeat(mebi));
    assert_eq!(soon(&attribute).text, "words");
    let attributes = format!("<p {}>words</p>", "a=b ".repeat(mebi / 4));
    assert_eq!(soon(&attributes).text, "words");
    for piece in [
        "&",
        "<",
        "<!--",
        "<![CDATA[",
        "&#",
        "</",
        "<a ",
        "\"",
        "]]>",
        "<script>",
        "<title>",
        "&amp",
        "<br>",
        "<td>",
        " \n",
        "<!",
        "-",
        "<script><!--",
        "é\0",
    ] {
        soon(&format!(
            "some words {:20}",
            piece.repeat(mebi / piece.len())
        ));
        soon(&format!(
            "<title>some words {}",
            piece.repeat(mebi / piece.len())
        ));
    }
}

#[test]
fn any_characters_make_a_page() {
    let pieces = [
        "<",
        ">",
        "/",
        "!",
        "-",
        "&",
        ";",
        "#",
        "\"",
        "'",
        "=",
        " ",
        "\n",
        "\0",
        "]",
        "[",
        "a",
        "é",
        "<script",
        "</script",
        "<svg",
        "</svg",
        "<title",
        "</title",
        "<pre>",
        "<td>",
        "<li>",
        "<template>",
        "</template>",
        "<ul>",
        "</ul>",
        "<!--",
        "-->",
        "&#x",
        "\u{10ffff}",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..20_000 {
        let html: String = (0..next(40)).map(|_| pieces[next(pieces.len())]).collect();
        let read = page(&html);
        assert!(
            !read.text.contains("\n\n\n") || html.contains("<pre>"),
            "{html:?}"
        );
        assert_eq!(read.text.trim_end(), read.text, "{html:?}");
    }
}

#[test]
fn a_tag_of_many_attributes_does_not_overflow_the_stack() {
    for attribute in [
        " a=\"1\"",
        " a=\"\"",
        " a='1'",
        " a=1",
        " a",
        "/a=\"&amp;\"",
    ] {
        let html = format!("<p{}>words</p>", attribute.repeat(50_000));
        assert_eq!(page(&html).text, "words", "{attribute}");
    }
}
