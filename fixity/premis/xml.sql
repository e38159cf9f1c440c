-- Events as PREMIS 3 elements, a line each. Keys are percent-encoded in the object's URI; what a store
-- said of an error may hold any character, and is escaped, without the control characters that XML cannot hold.
SELECT
    '<premis:event>'
    '<premis:eventIdentifier><premis:eventIdentifierType>UUID</premis:eventIdentifierType>'
    '<premis:eventIdentifierValue>' || event_id || '</premis:eventIdentifierValue></premis:eventIdentifier>'
    '<premis:eventType authority="eventType" authorityURI="http://id.loc.gov/vocabulary/preservation/eventType"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventType/fix">fixity check</premis:eventType>'
    '<premis:eventDateTime>' || strftime(event_datetime AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')
    || '</premis:eventDateTime>'
    '<premis:eventDetailInformation><premis:eventDetail>'
    || 'Fixity check against registered checksum; evidence: ' || coalesce(evidence, 'none')
    || '; bytes read: ' || bytes_read || '; run: ' || replace(replace(run_id, '&', '&amp;'), '<', '&lt;')
    || '</premis:eventDetail></premis:eventDetailInformation>'
    '<premis:eventOutcomeInformation>'
    '<premis:eventOutcome authority="eventOutcome"'
    ' authorityURI="http://id.loc.gov/vocabulary/preservation/eventOutcome"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventOutcome/' || outcome[1:3] || '">' || outcome
    || '</premis:eventOutcome>'
    '<premis:eventOutcomeDetail><premis:eventOutcomeDetailNote>' 
    || CASE WHEN outcome = 'warning' THEN escaped(outcome_note) ELSE outcome_note END
    || coalesce('; actual ' || lower(algorithm) || ':' || actual, '')
    || coalesce(
        '; expected ' || lower(algorithm) || ':' || expected || ' (' || expected_from || ' '
        || strftime(expected_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') || ')',
        ''
    )
    || '</premis:eventOutcomeDetailNote></premis:eventOutcomeDetail></premis:eventOutcomeInformation>'
    '<premis:linkingAgentIdentifier>'
    '<premis:linkingAgentIdentifierType>local</premis:linkingAgentIdentifierType>'
    '<premis:linkingAgentIdentifierValue>' || agent || '</premis:linkingAgentIdentifierValue>'
    '<premis:linkingAgentRole authority="eventRelatedAgentRole"'
    ' authorityURI="http://id.loc.gov/vocabulary/preservation/eventRelatedAgentRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedAgentRole/exe">executing program'
    '</premis:linkingAgentRole></premis:linkingAgentIdentifier>'
    '<premis:linkingObjectIdentifier>'
    '<premis:linkingObjectIdentifierType>URI</premis:linkingObjectIdentifierType>'
    '<premis:linkingObjectIdentifierValue>' || replace(object_uri, '&', '&amp;') || '</premis:linkingObjectIdentifierValue>'
    '<premis:linkingObjectRole authority="eventRelatedObjectRole"'
    ' authorityURI="http://id.loc.gov/vocabulary/preservation/eventRelatedObjectRole"'
    ' valueURI="http://id.loc.gov/vocabulary/preservation/eventRelatedObjectRole/sou">source'
    '</premis:linkingObjectRole></premis:linkingObjectIdentifier>'
    '</premis:event>' || chr(10)
FROM read_parquet($events)
