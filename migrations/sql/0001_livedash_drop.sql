-- LiveDash's tables, where this project made them; tables that someone else added make it fail.
DROP TABLE
    public."SessionQuestion",
    public."Question",
    public."SessionProcessingStatus",
    public."CompanyAIModel",
    public."AIModelPricing",
    public."AIModel",
    public."AIProcessingRequest",
    public."AIBatchRequest",
    public."Message",
    public."Session",
    public."Company";
DROP TYPE
    public."ProcessingStatus",
    public."ProcessingStage",
    public."AIBatchRequestStatus",
    public."AIRequestStatus",
    public."SessionCategory",
    public."SentimentCategory",
    public."CompanyStatus";
