"""What can go wrong. Every exception of this package is a :class:`HypostyleError`."""


class HypostyleError(Exception):
    """What all exceptions of this package are."""

    def __str__(self) -> str:
        # a KeyError would show its message as a quoted string
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class BadNameError(HypostyleError, ValueError):
    """The name cannot be a region's."""


class RegionNotFoundError(HypostyleError, FileNotFoundError):
    """There is no such region, or it was removed."""


class RegionError(HypostyleError, OSError):
    """The region is damaged, of another version or another user's, or the system refused."""


class NothingPublishedError(HypostyleError):
    """The region has no generation yet: :meth:`Reader.wait` for one."""


class NotKeptError(HypostyleError):
    """The region has no generation of that frame, or none any more: its writer keeps few beside the newest."""


class WriterGoneError(HypostyleError):
    """The region's writer has ended. The last published generation can still be pinned."""


class NoLeaseError(HypostyleError):
    """All leases of the region are taken: release snapshots, and arrays of them, that are no longer needed."""


class ForkedError(HypostyleError, RuntimeError):
    """The process was forked off the one that made the world: here it can be read, and neither changed, stepped nor
    published. Start processes with ``multiprocessing.get_context("spawn")``, or make a world in each."""


class NoSpaceError(HypostyleError, MemoryError):
    """The world is as large as its layout allows, or the machine has no more memory."""


class FieldValueError(HypostyleError, ValueError):
    """A value is none of its field's type: out of range, of another kind, or absent. The message says what to write."""


class InputsFullError(HypostyleError):
    """The simulation has not taken earlier inputs yet, or other senders hold all places of its mailbox: try again later."""


class NoInputsError(HypostyleError):
    """The simulation takes no inputs at all. The message says how to start one that does."""


class NotSteerableError(HypostyleError):
    """The run does not listen to steering. The message says how to start one that does."""


class NotPublishedError(HypostyleError):
    """The world went on, but readers hold the memory that its next generation needs. The message names them."""


class NameCollisionWarning(UserWarning):
    """A world that was made elsewhere has names that are attributes of this package: reach those by items."""


class ClosedError(HypostyleError, ValueError):
    """The region was closed, or the snapshot was released."""


class UnknownNameError(HypostyleError, KeyError, AttributeError):
    """The layout has no component, field or resource of this name. The message says what it has."""


class AbsentError(HypostyleError, LookupError):
    """The table lacks the component, the resource has no value, or the entity is dead."""


class SeveralTablesError(HypostyleError, ValueError):
    """The component stands in several tables, so that there is no one array of it in place.

    Ask for its ``chunks``, each in place, for a copy with ``concat``, or for fewer tables with ``select``.
    """


class LayoutError(HypostyleError, ValueError):
    """The layout is not valid; the message says where and why."""


class RegionInUseError(HypostyleError, FileExistsError):
    """The name is taken: by a live writer, or by a region that is to be resumed or cleaned."""


class FrameError(HypostyleError):
    """A system failed, and the world went back to its newest generation."""


class ScheduleError(HypostyleError, ValueError):
    """The systems do not fit each other or the world; the message names them."""


class WorkersError(HypostyleError):
    """The workers cannot be had; the message says why."""
