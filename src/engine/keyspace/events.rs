//! Events of keys, gathered until the engine makes messages of them.

use std::cell::{Cell, RefCell};

use super::Keyspace;
use crate::engine::bytes::SmallBytes;
use crate::engine::notifications::{Event, EventClasses};

#[derive(Debug, Default)]
pub(super) struct Events {
    classes: EventClasses,
    /// Those of `classes` that are told.
    told: EventClasses,
    /// Reads gather events, too.
    gathered: RefCell<Vec<Event>>,
    /// Whether the engine is to look after each command, since something may have been gathered.
    is_any: Cell<bool>,
    is_always: bool,
    /// The engine is to look at the form of what was changed, too.
    is_of_forms: bool,
}

/// Keys that have changed, whatever their databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Any key may have.
    pub is_all: bool,
    pub keys: Vec<SmallBytes>,
}

impl Events {
    #[inline]
    pub fn add(&self, class: EventClasses, name: &'static str, database: u8, key: &[u8]) {
        if self.told.intersects(class) {
            self.gather(class, name, database, key);
        }
    }

    /// Something was gathered.
    pub fn note(&self) {
        self.is_any.set(true);
    }

    #[cold]
    fn gather(&self, class: EventClasses, name: &'static str, database: u8, key: &[u8]) {
        let event = Event { class, name, database, key: SmallBytes::new(key) };
        self.gathered.borrow_mut().push(event);
        self.is_any.set(true);
    }
}

impl Keyspace {
    /// Says that something has become of a key, for those who are notified of events of this class.
    /// `name` is Redis's name of the event.
    #[inline]
    pub fn notify(&self, class: EventClasses, name: &'static str, database: u8, key: &[u8]) {
        self.events.add(class, name, database, key);
    }

    /// The classes of `notify-keyspace-events`.
    pub fn event_classes(&self) -> EventClasses {
        self.events.classes
    }

    pub fn set_event_classes(&mut self, classes: EventClasses) {
        self.events.classes = classes;
        self.events.told = classes.told();
    }

    /// Whether there may be events or changes that nobody has taken.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.events.is_any.get()
    }

    /// Lets [`Keyspace::has_news`] hold in any case, or not.
    pub fn set_always_news(&mut self, is_always: bool) {
        self.events.is_always = is_always;
        self.events.note();
    }

    /// Lets it hold for the sake of [`Keyspace::keep_forms`].
    pub(super) fn set_forms_news(&mut self, is_of_forms: bool) {
        self.events.is_of_forms = is_of_forms;
        self.events.note();
    }

    /// The events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.is_any.set(self.events.is_always | self.events.is_of_forms);
        std::mem::take(self.events.gathered.get_mut())
    }

    /// Gathers the keys that change from here on, or does so no more.
    pub fn gather_changes(&mut self, gathers: bool) {
        self.interest.gather_changes(gathers);
    }

    /// The keys that have changed since the last call.
    pub fn take_changes(&mut self) -> Changed {
        self.interest.take_changes()
    }

    /// Something has become of a key that those who keep copies have to know, and nobody else.
    pub fn tell_trackers(&mut self, key: &[u8]) {
        if self.interest.gathers_changes() {
            self.interest.gather_change(key);
            self.events.note();
        }
    }

    /// Any key may have changed.
    pub(super) fn change_all(&mut self) {
        if self.interest.gathers_changes() {
            self.interest.gather_all();
            self.events.note();
        }
    }

    /// Something has become of a key that matters to somebody.
    #[cold]
    pub(super) fn tell_interested(&mut self, database: u8, hash: u64, key: &[u8]) {
        self.interest.touch(database, hash, key, |key| self.hasher.hash(key));
        self.events.note();
    }

    /// Leaves out the misses among the events.
    pub fn drop_misses(&mut self) {
        self.events.gathered.get_mut().retain(|event| event.class != EventClasses::MISS);
    }
}
