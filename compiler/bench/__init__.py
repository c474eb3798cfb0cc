"""
Timing programs beside each other, fairly.

``protocol`` says which blocks of calls are timed and what statistics they have;
``process`` runs a contender in a process of its own and stops it while others are
timed; ``contenders`` is what runs in there; ``machine`` describes where; ``comparison``
times one model in several contenders and judges their outputs.
"""
