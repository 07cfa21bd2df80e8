"""DICOM's network protocol: `server.DimseServer` is `ports.DicomServer` over it.

pynetdicom negotiates an association, then its thread ends, and the project's own code uses the
socket: pynetdicom's way of sending polls, and now and then loses a response. The modules, from the
bottom up:

* `failures`: how an association ends early.
* `status`, `commands`: codes and command sets of PS3.7 and PS3.8. `contexts`: which presentation
  contexts are proposed, and in how many associations. Pure.
* `host_name`, `series`: what is looked up before sending, and what is asked for after it.
* `tls`, `sockets`: secure transport profiles, and the sockets that outlive the negotiation.
* `wire`: messages over the socket. `association`: C-STORE, C-ECHO and C-FIND by them.
* `requestor`, `opening`: pynetdicom's part.
* `breaker`: when to wait for a server, and when to give it up.
* `jobs`, `storing`: the instances, and one of them on its way.
* `workers`, `sending`: several associations at once.
"""
