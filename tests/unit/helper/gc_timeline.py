#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says what is wrong with a timeline: what a viewer would not show, or would show wrongly. Prints nothing when it is right."""
import decimal
import json
import sys

PHASES = ["sweep what was left", "barriers on", "roots", "scan stacks", "mark", "round", "clear weak references", "barriers off", "sweep"]
INNER = {"handshake": {"barriers on", "scan stacks", "round", "barriers off", "stopped"}, "answer": {"allocate", "poll"}, "assist": {"allocate"}}
MUTATORS = {"allocate", "poll", "answer", "assist", "blocking"}


def nested(track):
    """Spans of a track with the names of those around them; None for one that lies half within another."""
    stack = []
    for event in sorted(track, key=lambda event: (event["ts"], -event["dur"])):
        begin, end = event["ts"], event["ts"] + event["dur"]
        while stack and stack[-1][1] <= begin:
            stack.pop()
        if stack and end > stack[-1][1]:
            yield event, None
        yield event, [name for name, _ in stack]
        stack.append((event["name"], end))


def look_at_spans(spans):
    tracks = {}
    for event in spans:
        tracks.setdefault(event["tid"], []).append(event)
    for track in tracks.values():
        ended = max((event["ts"] + event["dur"] for event in track if event["name"] not in INNER), default=0)
        for event, around in nested(track):
            name = event["name"]
            if event["ts"] >= ended and around == []:
                continue  # what it and perhaps others lie in had not ended when the program died
            if around is None:
                yield f"{name} lies half within another: {event}"
            elif name in INNER and (not around or around[-1] not in INNER[name]):
                yield f"{name} lies within {around}"
            elif name in PHASES and around != ["cycle"]:
                yield f"{name} lies within {around}"
            elif name not in PHASES + ["cycle", "stopped", "handshake"] and name not in MUTATORS:
                yield f"what is {name}?"


def look_at_cycles(spans):
    for cycle in (event for event in spans if event["name"] == "cycle"):
        limit = cycle["ts"] + cycle["dur"]
        phases = [event["name"] for event in sorted(spans, key=lambda event: event["ts"])
                  if event["tid"] == cycle["tid"] and event["name"] in PHASES and cycle["ts"] <= event["ts"] <= limit]
        order = [name for i, name in enumerate(phases) if not i or phases[i - 1] != name]
        if order != PHASES:
            yield f"the phases of a cycle are {order}"


def look_at_requests(events):
    """Each has an end, on the track of its thread."""
    pending = {}
    for event in (event for event in events if event["ph"] in "be"):
        key = event["id"], event["name"]
        if (event["ph"] == "e") != (key in pending):
            yield f"{event} has no other end"
        if event["ph"] == "b":
            pending[key] = event["ts"]
        elif event["ts"] < pending.pop(key):
            yield f"{event} ends before it begins"
    if pending:
        yield f"without an answer: {pending}"


def look_at_names(events):
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    for event in events:
        if event["ph"] == "X" and event["tid"] not in named:
            yield f"a track without a name: {event}"


def look_at_counters(events):
    counters = [event for event in events if event["ph"] == "C"]
    if len(counters) < 3 or not all(event["args"].keys() == {"heap_bytes", "goal_bytes"} for event in counters):
        yield "no counters"
    if not any(event["args"]["goal_bytes"] for event in counters):
        yield "never a goal"


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        events = json.load(file, parse_float=decimal.Decimal)
    spans = [event for event in events if event["ph"] == "X"]
    wrong = [*look_at_spans(spans), *look_at_cycles(spans), *look_at_requests(events), *look_at_names(events), *look_at_counters(events)]
    seen = {event["name"] for event in spans}
    wrong += [f"never {name}" for name in PHASES + ["cycle", "handshake", "allocate", "answer", "assist", "blocking"] if name not in seen]
    if sum(event["name"] == "cycle" for event in spans) < int(sys.argv[2]):
        wrong.append("too few cycles")
    print("\n".join(wrong[:20]), end="")


main()
