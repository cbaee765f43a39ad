//! A view is what one search sees: one generation of the index, in the database and in memory alike.

use super::Index;
use super::error::IndexError;
use super::rows::Rows;
use super::schema::State;
use super::scope::Scope;
use crate::corpus::Filter;
use crate::db::{Interrupt, Reader};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How often one who waits for another's loading looks whether it should give up.
const PATIENCE: Duration = Duration::from_micros(500);

/// One generation, for the duration of one call.
pub(super) struct View<'a> {
    pub(super) index: &'a Index,
    pub(super) reader: Reader<'a>,
    pub(super) state: State,
    pub(super) rows: Arc<Rows>,
    pub(super) interrupt: &'a Interrupt,
}

impl Index {
    /// Begins a search on the latest generation.
    ///
    /// The read begins under the lock, so that its generation is never older than the rows kept.
    pub(super) fn view<'a>(&'a self, interrupt: &'a Interrupt) -> Result<View<'a>, IndexError> {
        let _refreshing = lock_patiently(&self.refresh, interrupt)?;
        let reader = self.database.read(interrupt)?;
        let state = State::read(&reader)?;
        let rows = self.rows(&reader, &state, interrupt)?;
        Ok(View {
            index: self,
            reader,
            state,
            rows,
            interrupt,
        })
    }

    fn rows(
        &self,
        reader: &Reader<'_>,
        state: &State,
        interrupt: &Interrupt,
    ) -> Result<Arc<Rows>, IndexError> {
        let count = usize::try_from(state.chunks).unwrap_or(0);
        let in_memory = Rows::bytes_of(count, true) <= self.cache.budget();
        let kept = self
            .cache
            .get(self.cache_key)
            .filter(|rows| rows.in_memory == in_memory);
        if let Some(rows) = &kept
            && rows.generation == state.generation
        {
            return Ok(Arc::clone(rows));
        }
        let advanced = match kept {
            Some(rows) => self.advance(&rows, reader, state, interrupt)?,
            None => None,
        };
        let rows = match advanced {
            Some(rows) => rows,
            None => {
                self.cache
                    .make_room(self.cache_key, Rows::bytes_of(count, in_memory));
                Rows::load(reader, state.generation, in_memory, interrupt)?
            }
        };
        if rows.len != count || rows.words != state.words.unsigned_abs() {
            return Err(IndexError::Damaged("its chunks do not add up".to_owned()));
        }
        let rows = Arc::new(rows);
        self.cache.keep(self.cache_key, &rows);
        Ok(rows)
    }

    /// `None` when too much has changed.
    fn advance(
        &self,
        rows: &Rows,
        reader: &Reader<'_>,
        state: &State,
        interrupt: &Interrupt,
    ) -> Result<Option<Rows>, IndexError> {
        let removed = lock(&self.changes).between(rows.generation, state.generation);
        let Some(removed) = removed else {
            return Ok(None);
        };
        let rows = rows.advance(reader, state.generation, &removed, interrupt)?;
        Ok(if rows.is_fragmented() {
            None
        } else {
            Some(rows)
        })
    }
}

impl View<'_> {
    /// The documents that `filter` chooses in this generation.
    pub(super) fn scope(&self, filter: Option<&Filter>) -> Result<Scope, IndexError> {
        match filter {
            Some(filter) => self.index.scope(&self.reader, &self.state, filter),
            None => Ok(Scope::all()),
        }
    }
}

/// `k` as given, when it is not too large.
pub(super) fn check_k(k: usize) -> Result<usize, IndexError> {
    match k {
        k if k > super::MAX_HITS => Err(IndexError::Limit {
            what: "k",
            given: k,
            limit: super::MAX_HITS,
        }),
        k => Ok(k),
    }
}

/// What these locks guard is replaced whole, so a panic elsewhere does not spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_patiently<'a>(
    mutex: &'a Mutex<()>,
    interrupt: &Interrupt,
) -> Result<MutexGuard<'a, ()>, IndexError> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => interrupt.check()?,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a lock tells of its release by no channel"
        )]
        std::thread::sleep(PATIENCE);
    }
}
