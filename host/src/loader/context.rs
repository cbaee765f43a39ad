//! What all documents of one run have in common: their source, their limit, where they lie. Reads
//! nothing.

use super::encoding::Encoding;
use super::error::LoadError;
use super::walk::{File, Root};
use crate::corpus::check_document_id;
use std::path::PathBuf;

/// The longest source name, in bytes.
const SOURCE_BYTES_MAX: usize = 512;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Put before every id, with a `/` between; `None` leaves ids as they are.
    pub source: Option<String>,
    /// The most bytes of title and text that a document may have: the policy's `document_kib_max`.
    /// HTML files may have eight times as many, since most of a page is not text.
    pub document_bytes_max: u64,
    /// What texts are read as that are not UTF-8 and have no byte-order mark; `None`: they are refused.
    pub encoding: Option<Encoding>,
}

/// What all documents of one run have in common.
#[derive(Debug)]
pub(super) struct Context {
    /// Empty, or ends with `/`.
    pub(super) prefix: String,
    pub(super) source: Option<String>,
    pub(super) document_bytes_max: u64,
    pub(super) encoding: Option<Encoding>,
    pub(super) roots: Vec<Root>,
}

impl Context {
    pub(super) fn new(options: &LoadOptions) -> Result<Self, LoadError> {
        let source = options
            .source
            .as_deref()
            .map(|name| name.trim_end_matches('/'));
        if let Some(name) = source
            && (check_document_id(name).is_err() || name.len() > SOURCE_BYTES_MAX)
        {
            return Err(LoadError::Source(
                options.source.clone().unwrap_or_default(),
            ));
        }
        Ok(Self {
            prefix: source.map(|name| format!("{name}/")).unwrap_or_default(),
            source: source.map(str::to_owned),
            document_bytes_max: options.document_bytes_max,
            encoding: options.encoding,
            roots: Vec::new(),
        })
    }

    pub(super) fn id(&self, own: &str) -> String {
        format!("{}{own}", self.prefix)
    }

    pub(super) fn root(&self, file: &File) -> &Root {
        &self.roots[file.root as usize]
    }

    pub(super) fn path(&self, file: &File) -> PathBuf {
        self.root(file).path.join(&*file.relative)
    }
}
