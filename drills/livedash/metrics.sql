-- name: counted_sessions
-- All of a company's, whatever became of their analysis.
SELECT s.id FROM public."Session" AS s WHERE s."companyId" = :company_id ORDER BY s.id;

-- name: counts
-- A null counts as false. endTime may not be null here: what was not escalated is resolved.
SELECT count(*) AS sessions,
    count(*) FILTER (WHERE s.escalated) AS escalated,
    count(*) FILTER (WHERE s."forwardedHr") AS forwarded,
    count(*) FILTER (WHERE s."endTime" IS NOT NULL AND s.escalated IS NOT TRUE) AS resolved
FROM public."Session" AS s
WHERE s."companyId" = :company_id;

-- name: top_questions
-- Each session's stored questions, and its first message if that is a question: one that ends with
-- a question mark, or has one of the words anywhere. JavaScript's idea of blanks and of words.
WITH said AS (
    SELECT b.content, row_number() OVER (ORDER BY s."createdAt", s.id, a.place) AS position
    FROM public."Session" AS s
    CROSS JOIN LATERAL (
        SELECT sq."order"::bigint AS place, q.content
        FROM public."SessionQuestion" AS sq
        JOIN public."Question" AS q ON q.id = sq."questionId"
        WHERE sq."sessionId" = s.id
        UNION ALL
        SELECT 4294967296, s."initialMsg"
    ) AS a (place, content)
    CROSS JOIN LATERAL (SELECT btrim(a.content, :blanks)) AS b (content)
    WHERE s."companyId" = :company_id AND a.content <> ''
), asked AS (
    SELECT d.content, count(*) AS times, min(d.position) AS first_asked
    FROM said AS d
    WHERE right(d.content, 1) = '?' OR d.content ~* :question_word
    GROUP BY d.content
)
SELECT a.content, a.times FROM asked AS a
ORDER BY a.times DESC, a.first_asked
LIMIT 5;
