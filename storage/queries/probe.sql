-- name: is_read_only
-- True on a standby, and on a primary that has been fenced off.
SELECT current_setting('transaction_read_only')::boolean;

-- name: missing_rights
-- What a batch needs and the present role lacks, NULL if nothing. It is no lack that there is no partition
-- for now: one is made.
WITH needed (object, privilege, is_held) AS (
    SELECT
        relation.name,
        relation.privilege,
        has_table_privilege(to_regclass(relation.name), relation.privilege)
    FROM (
        VALUES
        ('account', 'SELECT'),
        ('account', 'UPDATE'),
        ('card', 'SELECT'),
        ('chain_home', 'SELECT'),
        ('chain_home', 'INSERT'),
        ('chain_home', 'UPDATE'),
        ('due', 'INSERT'),
        ('due', 'UPDATE'),
        ('operation', 'SELECT'),
        ('tally', 'INSERT'),
        ('tally', 'UPDATE')
    ) AS relation (name, privilege)
    UNION ALL
    SELECT
        part.name,
        'INSERT',
        has_table_privilege(to_regclass(quote_ident(part.name)), 'INSERT')
    FROM ledger_partition AS part
    WHERE part.range_from <= now() AND part.range_to > now()
    UNION ALL
    SELECT
        function.signature,
        'EXECUTE',
        has_function_privilege(to_regprocedure(function.signature), 'EXECUTE')
    FROM (
        VALUES
        ('enter_home(integer, text)'),
        ('enter_alone(integer, text)'),
        ('ensure_partition(timestamptz)'),
        ('enrol_members(integer, text[])')
    ) AS function (signature)
)

SELECT string_agg(needed.privilege || ' ON ' || needed.object, ', ')
FROM needed
WHERE needed.is_held IS NOT TRUE;
