-- Addresses that many customers share: who is paid stands in what the payment carries beside its value.

-- memo: null is the whole address.
alter table addresses
  add column memo bytea,
  add constraint addresses_memo check (octet_length(memo) between 1 and 1024);

drop index addresses_once_per_merchant;

create unique index addresses_once_per_merchant
on addresses (merchant_id, chain, address, coalesce(memo, ''::bytea))
where deleted_at is null;
