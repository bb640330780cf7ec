//! The receive buffers of a ring: memory that the kernel picks from when bytes arrive.
//!
//! Owns the buffer ring shared with the kernel and the memory behind it. A buffer is either the
//! kernel's (published in the ring) or lent to one completion; a [`Loan`] gives it back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The group that receives name; a ring has one.
pub(super) const BUFFER_GROUP: u16 = 0;

/// The kernel wants the buffer ring on a page boundary.
const PAGE_BYTES: usize = 4096;

/// Added between buffers. At a distance of a power of two the first lines of all buffers would
/// share a few sets of the processor's caches, and short requests touch nothing but first lines.
const STAGGER_BYTES: usize = 192;

/// How many buffers a ring receives into, and how large each is.
#[derive(Clone, Copy, Debug)]
pub struct BufferShape {
    /// A power of two, at most 32768: what the kernel accepts.
    pub count: u16,
    pub bytes: u32,
}

impl Default for BufferShape {
    /// 16 MiB in all. A pass that finds more buffers filled than there are loses no bytes: what is
    /// left stays in the sockets until the next pass.
    fn default() -> Self {
        Self { count: 1024, bytes: 16 * 1024 }
    }
}

/// Invariant: `entries` and `memory` point to the two allocations made in `new`, which live until
/// this is dropped; the first `count` entries belong to the kernel but for the one at `tail`.
pub(super) struct Buffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    shape: BufferShape,
    tail: Cell<u16>,
}

impl Buffers {
    pub(super) fn new(shape: BufferShape) -> Self {
        assert!(shape.count.is_power_of_two() && shape.count <= 1 << 15 && shape.bytes > 0);
        let buffers = Self {
            entries: allocate(Self::entries_layout(shape)).cast(),
            memory: allocate(Self::memory_layout(shape)),
            shape,
            tail: Cell::new(0),
        };
        for id in 0..shape.count {
            buffers.give_back(id);
        }
        buffers
    }

    /// Shows the buffers to the kernel.
    ///
    /// Precondition: these buffers outlive the ring of `submitter`, and every receive of it.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the entries are `count` valid, page-aligned slots of a live allocation, and by
        // the precondition they stay so for as long as the ring uses them.
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.as_ptr() as u64,
                self.shape.count,
                BUFFER_GROUP,
                0,
            )
        }
    }

    /// Takes the buffer that a completion named.
    ///
    /// # Safety
    /// `id` comes from a completion of a receive on this group, and is lent once per completion.
    pub(super) unsafe fn lend(&self, id: u16) -> Loan<'_> {
        assert!(id < self.shape.count);
        Loan { buffers: self, id }
    }

    /// Publishes a buffer to the kernel.
    fn give_back(&self, id: u16) {
        let tail = self.tail.get();
        let slot = usize::from(tail & (self.shape.count - 1));
        // SAFETY: `slot` is below `count`, so the entry lies in the allocation. The kernel reads
        // entries below the published tail only, and this one is published after it is written;
        // at most `count` buffers exist, so it is not one that the kernel still has to read.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(slot);
            entry.set_addr(self.address(id) as u64);
            entry.set_len(self.shape.bytes);
            entry.set_bid(id);
        }
        self.tail.set(tail.wrapping_add(1));
        // SAFETY: the tail lies in the first entry of the live allocation, aligned for a u16, and
        // both sides access it atomically. The release makes the entry visible before the tail.
        unsafe {
            let shared = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(shared).store(tail.wrapping_add(1), Ordering::Release);
        }
    }

    fn address(&self, id: u16) -> *mut u8 {
        let offset = usize::from(id) * (self.shape.bytes as usize + STAGGER_BYTES);
        // SAFETY: `id` is below `count`, so the offset stays inside the allocation.
        unsafe { self.memory.as_ptr().add(offset) }
    }

    fn entries_layout(shape: BufferShape) -> Layout {
        Layout::from_size_align(usize::from(shape.count) * size_of::<BufRingEntry>(), PAGE_BYTES)
            .expect("invariant: 32768 entries of 16 bytes are a valid layout")
    }

    fn memory_layout(shape: BufferShape) -> Layout {
        let each = shape.bytes as usize + STAGGER_BYTES;
        Layout::from_size_align(usize::from(shape.count) * each, PAGE_BYTES)
            .expect("invariant: 32768 buffers of a u32 length are a valid layout")
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: both were allocated in `new` with these layouts and are freed here only; the
        // ring drops its buffers only when no receive is in flight any more.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), Self::entries_layout(self.shape));
            dealloc(self.memory.as_ptr(), Self::memory_layout(self.shape));
        }
    }
}

/// A buffer filled by the kernel; dropping it gives it back.
pub(super) struct Loan<'a> {
    buffers: &'a Buffers,
    id: u16,
}

impl Loan<'_> {
    /// The bytes of a receive that completed with `len`.
    pub(super) fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= self.buffers.shape.bytes as usize);
        // SAFETY: the buffer has `shape.bytes` bytes, all initialised (allocated zeroed), and the
        // kernel does not write to it while it is lent.
        unsafe { slice::from_raw_parts(self.buffers.address(self.id), len) }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.buffers.give_back(self.id);
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: no layout here has size 0: `new` asserts that count and bytes are positive.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}
