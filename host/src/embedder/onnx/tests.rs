//! Importing folders, whole and broken.

use super::*;
use crate::config::Config;
use crate::error::Explain;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder with the real model's small files, and its weights by link.
fn folder() -> TempDir {
    let from = Config::default().model_dir;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    for name in ["config.json", "tokenizer.json", "1_Pooling/config.json"] {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink(
        from.join(manifest::WEIGHTS),
        dir.path().join(manifest::WEIGHTS),
    )
    .unwrap();
    dir
}

fn replace_in(path: PathBuf, from: &str, to: &str) {
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_folder_is_imported_once() {
    let dir = folder();
    let first = import(dir.path()).unwrap();
    let again = import(dir.path()).unwrap();
    assert!(first.written && !again.written);
    assert_eq!(first.model, again.model);
    assert_eq!((first.model.dimensions, first.model.max_tokens), (384, 256));
}

#[test]
fn a_damaged_file_is_named_and_import_repairs_it() {
    let dir = folder();
    let model = import(dir.path()).unwrap().model;
    let graph = dir.path().join(manifest::GRAPH);
    std::fs::write(&graph, "damaged").unwrap();
    let error = Manifest::check(dir.path()).unwrap_err();
    let ModelError::Unexpected {
        path,
        expected,
        found,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(path, &graph);
    assert_ne!(expected, found);
    assert!(error.hint().unwrap().contains("cargo xtask setup"));
    assert_eq!(
        import(dir.path()).unwrap(),
        Imported {
            model,
            written: true
        }
    );
}

#[test]
fn other_architectures_are_refused_by_name() {
    let dir = folder();
    replace_in(
        dir.path().join("config.json"),
        "\"BertModel\"",
        "\"XLMRobertaModel\"",
    );
    let error = import(dir.path()).unwrap_err();
    assert!(error.to_string().contains("XLMRobertaModel"), "{error}");
    assert!(!dir.path().join(manifest::MANIFEST).exists());
}

#[test]
fn other_pooling_is_refused_by_name() {
    let dir = folder();
    let file = dir.path().join("1_Pooling/config.json");
    replace_in(
        file,
        "\"pooling_mode_cls_token\": false",
        "\"pooling_mode_cls_token\": true",
    );
    let error = import(dir.path()).unwrap_err();
    assert!(error.to_string().contains("cls token + mean"), "{error}");
}

#[test]
fn weights_of_another_shape_are_refused_by_name() {
    let dir = folder();
    replace_in(
        dir.path().join("config.json"),
        "\"vocab_size\": 30522",
        "\"vocab_size\": 30523",
    );
    let error = import(dir.path()).unwrap_err();
    assert!(error.to_string().contains("word_embeddings"), "{error}");
}

#[test]
fn a_folder_without_weights_says_which_file_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let error = import(dir.path()).unwrap_err();
    assert!(error.to_string().contains(manifest::WEIGHTS), "{error}");
}

#[test]
fn the_graph_for_others_has_the_same_weights_and_none_of_our_operators() {
    let (dir, others) = (folder(), tempfile::tempdir().unwrap());
    import(dir.path()).unwrap();
    write_for_others(dir.path(), others.path()).unwrap();
    let read = |folder: &TempDir, name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let data = [&dir, &others].map(|folder| read(folder, manifest::DATA));
    assert!(data[0] == data[1]);
    let domains = [&dir, &others].map(|folder| {
        let model: proto::Model = prost::Message::decode(&*read(folder, manifest::GRAPH)).unwrap();
        let graph = model.graph.unwrap();
        let ours = graph.node.iter().filter(|node| node.domain == OWN_DOMAIN);
        (model.opset_import.len(), ours.count())
    });
    // Attention, its end, the activation and the end of the network, in each of six layers.
    assert_eq!(domains, [(3, 24), (2, 0)]);
}
