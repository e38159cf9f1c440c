-- Events as PREMIS 3 elements, one a line. Keys are percent-encoded in the object's URI. A store's error message may
-- have any character: it is escaped, without the control characters that XML forbids. The time when an expected
-- checksum was registered is not always known. One concat() builds an event once; a chain of || would copy it again
-- for each piece.
SELECT concat(
    '<event><eventIdentifier><eventIdentifierType>UUID</eventIdentifierType><eventIdentifierValue>',
    event_id,
    '</eventIdentifierValue></eventIdentifier><eventType authority="eventType"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventType/',
    event_type[1:3],
    '">',
    event_type,
    '</eventType><eventDateTime>',
    strftime(event_datetime AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
    '</eventDateTime><eventDetailInformation><eventDetail>',
    CASE
        WHEN event_type = 'deletion' THEN 'Deletion observed'
        WHEN evidence = 'comparison' THEN 'Fixity check against the other copies'
        ELSE concat(
            'Fixity check against registered checksum; evidence: ', coalesce(evidence, 'none'), '; bytes read: ',
            bytes_read
        )
    END,
    '; run: ',
    replace(replace(run_id, '&', '&amp;'), '<', '&lt;'),
    '</eventDetail></eventDetailInformation><eventOutcomeInformation><eventOutcome authority="eventOutcome"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventOutcome/',
    outcome[1:3],
    '">',
    outcome,
    '</eventOutcome><eventOutcomeDetail><eventOutcomeDetailNote>',
    CASE WHEN outcome = 'warning' OR evidence = 'comparison' THEN escaped(outcome_note) ELSE outcome_note END,
    CASE WHEN actual IS NOT NULL THEN concat('; actual ', lower(algorithm), ':', actual) END,
    CASE
        WHEN expected IS NOT NULL THEN concat(
            '; expected ', lower(algorithm), ':', expected, ' (', expected_from,
            strftime(expected_at AT TIME ZONE 'UTC', ' %Y-%m-%dT%H:%M:%S.%fZ'), ')'
        )
    END,
    '</eventOutcomeDetailNote></eventOutcomeDetail></eventOutcomeInformation>'
    '<linkingAgentIdentifier><linkingAgentIdentifierType>local</linkingAgentIdentifierType>'
    '<linkingAgentIdentifierValue>',
    replace(replace(agent, '&', '&amp;'), '<', '&lt;'),
    '</linkingAgentIdentifierValue><linkingAgentRole authority="eventRelatedAgentRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedAgentRole/exe">executing program'
    '</linkingAgentRole></linkingAgentIdentifier>'
    '<linkingObjectIdentifier><linkingObjectIdentifierType>URI</linkingObjectIdentifierType>'
    '<linkingObjectIdentifierValue>',
    replace(object_uri, '&', '&amp;'),
    '</linkingObjectIdentifierValue><linkingObjectRole authority="eventRelatedObjectRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedObjectRole/sou">source'
    '</linkingObjectRole></linkingObjectIdentifier></event>',
    chr(10)
)
FROM read_parquet($events, union_by_name = true)
WHERE ($key IS NULL OR key = $key)
    AND ($since IS NULL OR event_datetime >= $since)
