-- Events as PREMIS 3 elements, one a line, each with its object, and the source of that where it has one. In: the view
-- `events`. URIs are percent-encoded. A store's error message may have any character: it is escaped, without the control
-- characters that XML forbids. The time when an expected checksum was registered is not always known. One concat()
-- builds an event once; a chain of || would copy it again for each piece. Out, beside the texts: object_uri, source_uri,
-- agent, and said_at: of an object's elements the one with the highest counts, those with a checksum before all others.
SELECT concat(
    '<event><eventIdentifier><eventIdentifierType>UUID</eventIdentifierType><eventIdentifierValue>',
    event_id,
    '</eventIdentifierValue></eventIdentifier><eventType authority="eventType"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventType/',
    event_type[1:3],
    '">',
    event_type,
    '</eventType><eventDateTime>',
    strftime(make_timestamp(epoch_us(event_datetime)), '%Y-%m-%dT%H:%M:%S.%fZ'),
    '</eventDateTime><eventDetailInformation><eventDetail>',
    CASE
        WHEN event_type = 'deletion' THEN 'Deletion observed'
        WHEN event_type = 'recovery' THEN 'The bad copy was replaced by a good one'
        WHEN event_type = 'replication' THEN 'Replication observed'
        WHEN evidence = 'comparison' THEN 'Fixity check against the other copies'
        ELSE concat(
            CASE WHEN second_look THEN 'Second look: fixity' ELSE 'Fixity' END,
            ' check against registered checksum; evidence: ', coalesce(evidence, 'none'), '; bytes read: ',
            bytes_read,
            CASE WHEN reads > 1 THEN concat('; read ', reads, ' times') END
        )
    END,
    CASE WHEN run_id <> '' THEN concat('; run: ', replace(replace(run_id, '&', '&amp;'), '<', '&lt;')) END,
    '</eventDetail></eventDetailInformation><eventOutcomeInformation><eventOutcome authority="eventOutcome"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventOutcome/',
    outcome[1:3],
    '">',
    outcome,
    '</eventOutcome><eventOutcomeDetail><eventOutcomeDetailNote>',
    CASE WHEN outcome = 'success' AND event_type <> 'recovery' THEN outcome_note ELSE escaped(outcome_note) END,
    CASE WHEN actual IS NOT NULL THEN concat('; actual ', lower(algorithm), ':', actual) END,
    CASE
        WHEN expected IS NOT NULL THEN concat(
            '; expected ', lower(algorithm), ':', expected,
            CASE
                WHEN expected_from IS NOT NULL THEN concat(
                    ' (', expected_from, strftime(make_timestamp(epoch_us(expected_at)), ' %Y-%m-%dT%H:%M:%S.%fZ'), ')'
                )
            END
        )
    END,
    '</eventOutcomeDetailNote></eventOutcomeDetail></eventOutcomeInformation>'
    '<linkingAgentIdentifier><linkingAgentIdentifierType>local</linkingAgentIdentifierType>'
    '<linkingAgentIdentifierValue>',
    replace(replace(agent, '&', '&amp;'), '<', '&lt;'),
    '</linkingAgentIdentifierValue><linkingAgentRole authority="eventRelatedAgentRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedAgentRole/exe">executing program'
    '</linkingAgentRole></linkingAgentIdentifier>',
    CASE
        WHEN source_uri IS NOT NULL THEN concat(
            '<linkingObjectIdentifier><linkingObjectIdentifierType>URI</linkingObjectIdentifierType>'
            '<linkingObjectIdentifierValue>',
            source_uri,
            '</linkingObjectIdentifierValue><linkingObjectRole authority="eventRelatedObjectRole"'
            ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedObjectRole/sou">source'
            '</linkingObjectRole></linkingObjectIdentifier>'
        )
    END,
    '<linkingObjectIdentifier><linkingObjectIdentifierType>URI</linkingObjectIdentifierType>'
    '<linkingObjectIdentifierValue>',
    object_uri,
    '</linkingObjectIdentifierValue><linkingObjectRole authority="eventRelatedObjectRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedObjectRole/',
    CASE WHEN source_uri IS NULL THEN 'sou">source' ELSE 'out">outcome' END,
    '</linkingObjectRole></linkingObjectIdentifier></event>',
    chr(10)
) AS event,
-- Formats are not looked at, but PREMIS wants one of each file. S3 spells an algorithm SHA256, the vocabulary SHA-256.
concat(
    '<object xsi:type="file"><objectIdentifier><objectIdentifierType>URI</objectIdentifierType><objectIdentifierValue>',
    object_uri,
    '</objectIdentifierValue></objectIdentifier><objectCharacteristics>',
    CASE
        WHEN expected IS NOT NULL THEN concat(
            '<fixity><messageDigestAlgorithm>', replace(algorithm, 'SHA', 'SHA-'),
            '</messageDigestAlgorithm><messageDigest>', expected, '</messageDigest></fixity>'
        )
    END,
    CASE WHEN size IS NOT NULL THEN concat('<size>', size, '</size>') END,
    '<format><formatDesignation><formatName>unknown</formatName></formatDesignation></format></objectCharacteristics>'
    '</object>',
    chr(10)
) AS object,
CASE
    WHEN source_uri IS NOT NULL THEN concat(
        '<object xsi:type="file"><objectIdentifier><objectIdentifierType>URI</objectIdentifierType>'
        '<objectIdentifierValue>',
        source_uri,
        '</objectIdentifierValue></objectIdentifier><objectCharacteristics><format><formatDesignation>'
        '<formatName>unknown</formatName></formatDesignation></format></objectCharacteristics></object>',
        chr(10)
    )
END AS source_object,
object_uri,
source_uri,
agent,
epoch_us(event_datetime) - CASE WHEN expected IS NULL THEN 100_000_000_000_000_000 ELSE 0 END AS said_at
FROM events
