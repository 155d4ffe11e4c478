"""What Tron nodes answer, before anybody believes it: protobuf, JSON structs, and what answers mean that are none.  Pure."""
