"""A stream that breaks and is taken up again gives the very answers of one that never broke."""

import random
from dataclasses import dataclass

import numpy as np
import pytest

from vocalics import audio
from vocalics.recognition.stream import Stream
from vocalics.service.resumable import (
    PAUSE_S,
    RENEW_AFTER_S,
    RENEW_AT_LATEST_S,
    WARM_UP_S,
    ResumableStream,
    pcm_to_samples,
)

RATE = 16_000
PLAN = {"window_s": 1.0, "hop_s": 0.5, "first_s": 0.5}
FIRST_ANSWER_S = 0.5  # of this plan


@pytest.fixture(scope="module")
def talk(clips):
    """Some two minutes of speech at different levels, with short and long pauses between."""
    random_numbers = np.random.default_rng(5)
    voices = [audio.read(clip).mono().resampled(RATE).samples[0] for clip in clips]
    pieces = []
    for _ in range(25):
        voice = voices[random_numbers.integers(len(voices))]
        pause_s = random_numbers.choice([0.05, 0.3, 1.0, 4.0])
        pieces += [
            voice * random_numbers.uniform(0.2, 1.0),
            random_numbers.normal(0, 1e-3, int(pause_s * RATE)),
        ]
    return np.concatenate(pieces).astype(np.float32)


@pytest.fixture
def new_stream(model):
    return lambda start_s, after_s: Stream(model, sample_rate=RATE, start_s=start_s, after_s=after_s, **PLAN)


def messages(samples, seed):
    """Cut samples into messages of 1 ms to 1 s, some in several pieces; number 1 is the first."""
    random_numbers = random.Random(seed)
    found, start = {}, 0
    while start < len(samples):
        stop = start + random_numbers.randint(RATE // 1000, RATE)
        found[len(found) + 1] = np.array_split(samples[start:stop], random_numbers.choice([1, 1, 3]))
        start = stop
    return found


class Client:
    """Sends messages, keeps those that were not acknowledged, and takes broken streams up again."""

    def __init__(self, new_stream, sent):
        self.new_stream = new_stream
        self.sent = sent
        self.answers = []
        self.longest_kept_s = 0.0
        self.connect(1)

    def connect(self, sequence, **where):
        self.stream = ResumableStream(self.new_stream, FIRST_ANSWER_S, sequence=sequence, **where)

    def send(self, sequence):
        pieces = self.sent[sequence]
        for index, piece in enumerate(pieces):
            last = index + 1 == len(pieces)
            self.answers += self.stream.hear(sequence, piece, last=last)
        self.told = self.stream.acknowledged, {"start_s": self.stream.start_s, "after_s": self.stream.after_s}
        self.longest_kept_s = max(self.longest_kept_s, self.stream.position_s - self.stream.start_s)

    def take_up_again(self, until):
        acknowledged, resume = self.told
        self.connect(acknowledged + 1, **resume)
        for sequence in range(acknowledged + 1, until + 1):
            self.send(sequence)

    def run(self, breaks=()):
        for sequence in self.sent:
            self.send(sequence)
            if sequence in breaks:
                before = self.told
                self.take_up_again(sequence)
                assert self.told == before  # so that the next break is like the first
        self.answers += self.stream.finish()
        return self.answers


@pytest.mark.parametrize("seed", range(3))
def test_breaks_anywhere_lose_nothing_and_repeat_nothing(new_stream, talk, seed):
    sent = messages(talk, seed)
    whole = Client(new_stream, sent).run()
    breaks = set(random.Random(seed).sample(sorted(sent), 12))
    assert Client(new_stream, sent).run(breaks) == whole
    assert len(whole) > 100
    ends_s = [answer.end_s for answer in whole[:-1]]  # the end of the sound may come at any time
    assert min(np.diff(ends_s)) >= 0.03  # an answer comes once: they lie chunks of 32 ms apart


def test_answers_that_the_client_never_got_come_again(new_stream, talk):
    """The messages were heard, but the break swallowed what was said of them."""
    sent = messages(talk, 7)
    whole = Client(new_stream, sent).run()
    client = Client(new_stream, sent)
    for sequence in range(1, 30):
        client.send(sequence)
    told, n_answers = client.told, len(client.answers)
    for sequence in range(30, 41):
        client.send(sequence)
    assert len(client.answers) > n_answers
    client.told, client.answers = told, client.answers[:n_answers]
    client.take_up_again(40)
    for sequence in range(41, len(sent) + 1):
        client.send(sequence)
    assert client.answers + client.stream.finish() == whole


def test_a_client_may_say_the_end_of_its_last_answer_rounded_to_a_millisecond(new_stream, talk):
    sent = messages(talk, 8)
    whole = Client(new_stream, sent).run()
    client = Client(new_stream, sent)
    for sequence in range(1, 30):
        client.send(sequence)
    acknowledged, resume = client.told
    client.told = acknowledged, resume | {"after_s": round(client.answers[-1].end_s, 3)}
    client.take_up_again(29)
    for sequence in range(30, len(sent) + 1):
        client.send(sequence)
    assert client.answers + client.stream.finish() == whole


def test_what_was_answered_before_a_break_costs_no_second_look(model, talk, monkeypatch):
    """Only the windows of the stretch that is going on are asked again, since later answers lean on them."""
    asked = []
    answer = type(model).answer
    monkeypatch.setattr(type(model), "answer", lambda self, sounds: asked.append(1) or answer(self, sounds))

    def new_stream(start_s, after_s):
        return Stream(model, sample_rate=RATE, start_s=start_s, after_s=after_s, **PLAN)

    client = Client(new_stream, messages(talk, 9))
    for sequence in range(1, 50):
        client.send(sequence)
    n_before = len(asked)
    assert n_before == len(client.answers) > 20
    client.take_up_again(49)
    assert len(asked) - n_before == 0
    while len(client.answers) == n_before:
        sequence += 1
        client.send(sequence)
    assert 1 <= len(asked) - n_before < 0.5 * n_before


def test_until_it_is_renewed_it_is_the_librarys_stream(model, new_stream, talk):
    first = talk[: int(RENEW_AFTER_S * RATE)]
    plain = Stream(model, sample_rate=RATE, **PLAN)
    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    assert stream.hear(1, first) + stream.finish() == plain.push(first) + plain.finish()


def test_it_answers_about_as_often_as_the_librarys_stream(model, new_stream, talk):
    plain = Stream(model, sample_rate=RATE, **PLAN)
    ends_s = np.array([answer.end_s for answer in plain.push(talk) + plain.finish()])
    own_s = np.array([answer.end_s for answer in Client(new_stream, messages(talk, 1)).run()])
    # Where the level was learnt anew a stretch may begin elsewhere; 0.5 s is the hop.
    near = [np.abs(own_s - end_s).min() <= 0.5 for end_s in ends_s]
    assert np.mean(near) > 0.95
    assert len(own_s) == pytest.approx(len(ends_s), rel=0.05)


def test_what_a_client_must_keep_is_bounded(new_stream, talk):
    client = Client(new_stream, messages(talk, 2))
    client.run()
    assert WARM_UP_S < client.longest_kept_s <= RENEW_AT_LATEST_S + 1.0  # a message lasts a second at most


@dataclass
class Answer:
    """As much of a segment as counts here."""

    end_s: float


class Talker:
    """A stream in which somebody speaks without a pause: an answer every half second since it began."""

    def __init__(self, start_s, after_s):
        self.position_s = self.heard_s = start_s
        self.after_s = after_s

    def push(self, samples):
        before_s = self.position_s
        self.position_s += len(samples) / RATE
        half_seconds = np.arange(2 * before_s, 2 * self.position_s + 1).astype(int) / 2
        ends_s = [end_s for end_s in half_seconds if before_s < end_s <= self.position_s]
        self.heard_s = max([self.heard_s, *ends_s])
        return [Answer(end_s) for end_s in ends_s if end_s > self.after_s]

    def finish(self):
        return []


def test_speech_without_a_pause_is_acknowledged_after_a_minute(new_stream):
    stream = ResumableStream(Talker, FIRST_ANSWER_S)
    ends_s = []
    for sequence in range(1, 151):
        ends_s += [answer.end_s for answer in stream.hear(sequence, np.zeros(RATE))]
        assert stream.position_s - stream.start_s <= RENEW_AT_LATEST_S
    assert ends_s == [half / 2 for half in range(1, 301)]
    assert stream.acknowledged == 150 - stream.position_s + stream.start_s


def test_messages_longer_than_the_warm_up_do_not_renew_it_over_and_over():
    made = []

    def new_stream(start_s, after_s):
        made.append(start_s)
        return Talker(start_s, after_s)

    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    for sequence in range(1, 11):
        stream.hear(sequence, np.zeros(100 * RATE))
    assert made == [0.0, *range(100, 1000, 100)]


def test_a_pause_is_waited_for(new_stream, clip):
    """Speech until after the time of a renewal, then silence: it is renewed in the silence."""
    speech = np.resize(audio.read(clip).samples[0], int((RENEW_AFTER_S + 2) * RATE))
    sound = np.concatenate([speech, np.zeros(10 * RATE, dtype=np.float32)])
    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    last_s = 0.0
    for sequence, message in enumerate(np.split(sound, len(sound) * 10 // RATE), start=1):  # of 0.1 s
        answers = stream.hear(sequence, message)
        if stream.acknowledged:
            break
        last_s = answers[-1].end_s if answers else last_s
    assert stream.position_s > len(speech) / RATE
    assert stream.position_s - last_s == pytest.approx(FIRST_ANSWER_S + PAUSE_S, abs=0.11)


def test_what_is_lost_acknowledges_all_before_it(model, new_stream, talk):
    head, tail = talk[: 10 * RATE], talk[10 * RATE : 20 * RATE]
    plain = Stream(model, sample_rate=RATE, **PLAN)
    expected = plain.push(head) + plain.skip(3.0) + plain.push(tail) + plain.finish()
    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    answers = stream.hear(1, head) + stream.lose(2, 3.0)
    assert (stream.acknowledged, stream.start_s) == (2, 13.0)
    again = ResumableStream(
        new_stream, FIRST_ANSWER_S, sequence=3, start_s=stream.start_s, after_s=stream.after_s
    )
    assert answers + again.hear(3, tail) + again.finish() == expected


def test_nothing_but_silence_leads_to_no_answer_and_is_acknowledged(new_stream):
    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    answers = [
        answer
        for sequence in range(1, 42)
        for answer in stream.hear(sequence, np.zeros(RATE, dtype=np.float32))
    ]
    assert answers == []
    assert stream.acknowledged >= 41 - RENEW_AFTER_S - WARM_UP_S


def test_an_empty_message_is_heard_too(new_stream):
    stream = ResumableStream(new_stream, FIRST_ANSWER_S)
    assert stream.hear(1, np.zeros(0, dtype=np.int16)) == []
    assert stream.sequence == 1


@pytest.mark.parametrize(
    ("encoding", "pcm"), [("pcm_s16le", b"\x00\x40\x00\x80"), ("pcm_f32le", b"\0\0\0\x3f\0\0\x80\xbf")]
)
def test_pcm_is_little_endian_in_both_codings(encoding, pcm):
    samples = audio.Waveform.from_array(pcm_to_samples(pcm, encoding), RATE).samples
    assert samples.tolist() == [[0.5, -1.0]]
