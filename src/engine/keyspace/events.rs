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
    is_any: Cell<bool>,
}

impl Events {
    #[inline]
    pub fn add(&self, class: EventClasses, name: &'static str, database: u8, key: &[u8]) {
        if self.told.intersects(class) {
            self.gather(class, name, database, key);
        }
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

    /// Whether there are events that no messages were made of.
    #[inline]
    pub fn has_events(&self) -> bool {
        self.events.is_any.get()
    }

    /// The events since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.is_any.set(false);
        std::mem::take(self.events.gathered.get_mut())
    }

    /// Leaves out the misses among the events.
    pub fn drop_misses(&mut self) {
        self.events.gathered.get_mut().retain(|event| event.class != EventClasses::MISS);
    }
}
