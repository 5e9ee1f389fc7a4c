"""The dataclasses that cross the border between gateway and engine, and nothing else does.

Know the fields and their units. Do not know how they travel (`wire.py`), who sends them, or torch.

Gateway to engine: `commands.Command`. Engine to gateway: `events.Event`. Every message of one
conversation carries its `conversation_id`; order is kept in each direction.
"""
