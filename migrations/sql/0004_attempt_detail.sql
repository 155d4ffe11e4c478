-- What one word cannot say about an attempt: that the server wants a client certificate, that its own has expired.

alter table delivery_attempts add column detail text not null default '' check (length(detail) <= 200);
