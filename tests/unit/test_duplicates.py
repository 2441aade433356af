"""A copy gets the reply of the first; a job that went on from here is no copy."""

from tollway_workers.job.duplicates import Duplicates, Identity, ReplyPlace

A, B = Identity("a", 1), Identity("b", 1)
PLACE = ReplyPlace("replies", 3, 7)


def duplicates(most: int = 10) -> Duplicates[str]:
    return Duplicates(most)


def test_the_first_is_worked_on_and_a_copy_waits_for_its_end() -> None:
    memory = duplicates()

    assert [memory.admit(A, "first"), memory.admit(A, "copy"), memory.admit(B, "other")] == [
        True,
        False,
        True,
    ]
    assert memory.replied(A, PLACE) == ["copy"]


def test_a_copy_that_comes_later_is_told_where_the_reply_stands() -> None:
    memory = duplicates()
    memory.admit(A, "first")
    memory.replied(A, PLACE)

    assert memory.admit(A, "copy") == PLACE


def test_another_generation_another_call_and_another_hop_are_no_copies() -> None:
    memory = duplicates()
    memory.admit(A, "first")

    for other in (Identity("a", 2), Identity("a", 1, 1), Identity("a", 1, 0, 1)):
        assert memory.admit(other, "no copy") is True


def test_copies_of_a_job_that_went_elsewhere_are_given_back_and_the_next_is_the_first() -> None:
    memory = duplicates()
    memory.admit(A, "first")
    memory.admit(A, "copy")

    assert memory.left(A) == ["copy"]
    assert memory.admit(A, "copy") is True


def test_a_copy_whose_reply_cannot_be_read_is_worked_on() -> None:
    memory = duplicates()
    memory.admit(A, "first")
    memory.replied(A, PLACE)

    memory.forget(A, ReplyPlace("replies", 3, 6))
    assert memory.admit(A, "copy") == PLACE
    memory.forget(A, PLACE)

    assert [memory.admit(A, "copy"), memory.admit(A, "another")] == [True, False]


def test_a_reply_that_stands_nobody_knows_where_is_not_remembered() -> None:
    memory = duplicates()
    memory.admit(A, "first")
    memory.replied(A, None)

    assert memory.admit(A, "copy") is True


def test_no_more_replies_are_remembered_than_there_is_room_for() -> None:
    memory = duplicates(most=2)
    for number in range(5):
        memory.admit(Identity(str(number), 1), "job")
        memory.replied(Identity(str(number), 1), PLACE)

    known = [memory.admit(Identity(str(number), 1), "copy") for number in range(5)]

    assert known == [True, True, True, PLACE, PLACE]
    assert repr(memory) == "<Duplicates [3 here | 0 copies wait | 2 replies]>"
