//! Libraries of functions, which are replicated state: their code, and what it registers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cache::Sha;
use super::shebang::ScriptFlags;
use crate::engine::error::CommandError;
use crate::limits::{LIBRARIES_MAX, LIBRARY_BYTES_MAX};

/// What a library says of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LibraryFunction {
    pub name: String,
    pub flags: ScriptFlags,
    pub description: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Library {
    pub name: String,
    pub code: Arc<[u8]>,
    /// Of the code.
    pub sha: Sha,
    /// In the order of their names, which differ in more than case.
    pub functions: Vec<LibraryFunction>,
}

impl Library {
    /// `None` without any function, and if names are not those of a library and of functions.
    pub fn new(name: &str, code: &[u8], mut functions: Vec<LibraryFunction>) -> Option<Self> {
        functions.sort_by(|left, right| left.name.cmp(&right.name));
        let are_names = functions.iter().all(|function| is_name(function.name.as_bytes()));
        let is_one = is_name(name.as_bytes()) && are_names && !functions.is_empty();
        let sha = Sha::of(code);
        is_one.then(|| Self { name: name.to_owned(), code: code.into(), sha, functions })
    }

    fn bytes(&self) -> usize {
        let of = |function: &LibraryFunction| {
            2 * function.name.len() + function.description.as_ref().map_or(0, Vec::len) + OVERHEAD
        };
        self.functions.iter().map(of).sum::<usize>() + self.code.len() + OVERHEAD
    }
}

/// What a library, and each of its functions, counts beside its texts.
const OVERHEAD: usize = 128;

/// Of a library or a function.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Why libraries cannot be together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LibraryError {
    #[error("ERR Library {0} already exists")]
    Library(String),
    #[error("ERR Function {0} already exists")]
    Function(String),
    #[error("ERR There is no room for the library {0}")]
    Full(String),
}

impl From<LibraryError> for CommandError {
    fn from(error: LibraryError) -> Self {
        Self::Text(error.to_string().into())
    }
}

/// At most [`LIBRARIES_MAX`], of [`LIBRARY_BYTES_MAX`] in all. No two have functions of the same
/// name, whatever its case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Libraries {
    by_name: BTreeMap<String, Library>,
    /// The library of each function, by the name in lower case.
    owners: BTreeMap<String, String>,
    bytes: usize,
}

impl Libraries {
    pub fn get(&self, name: &[u8]) -> Option<&Library> {
        self.by_name.get(std::str::from_utf8(name).ok()?)
    }

    /// A function by its name in any case, with its library.
    pub fn function(&self, name: &[u8]) -> Option<(&Library, &LibraryFunction)> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let library = self.by_name.get(self.owners.get(&name)?)?;
        let mut functions = library.functions.iter();
        let function = functions.find(|function| function.name.eq_ignore_ascii_case(&name))?;
        Some((library, function))
    }

    /// Takes in a library, in the place of that of its name if `replaces`.
    ///
    /// # Errors
    ///
    /// Nothing is changed then.
    pub fn insert(&mut self, library: Library, replaces: bool) -> Result<(), LibraryError> {
        let former = self.by_name.get(&library.name);
        if former.is_some() && !replaces {
            return Err(LibraryError::Library(library.name));
        }
        let mut names: Vec<String> = Vec::new();
        for function in &library.functions {
            let name = function.name.to_ascii_lowercase();
            let owner = self.owners.get(&name);
            if owner.is_some_and(|owner| *owner != library.name) || names.contains(&name) {
                return Err(LibraryError::Function(function.name.clone()));
            }
            names.push(name);
        }
        let count = self.by_name.len() + usize::from(former.is_none());
        let bytes = self.bytes - former.map_or(0, Library::bytes) + library.bytes();
        if count > LIBRARIES_MAX || bytes > LIBRARY_BYTES_MAX {
            return Err(LibraryError::Full(library.name));
        }
        self.remove(library.name.as_bytes());
        self.bytes = bytes;
        self.owners.extend(names.into_iter().map(|name| (name, library.name.clone())));
        self.by_name.insert(library.name.clone(), library);
        Ok(())
    }

    /// False if there is none of that name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let Some(library) = self.by_name.remove(name) else { return false };
        self.bytes -= library.bytes();
        self.owners.retain(|_, owner| owner != name);
        true
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.by_name.values()
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub fn function_count(&self) -> usize {
        self.owners.len()
    }

    /// What all libraries count.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
