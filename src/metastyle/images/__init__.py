"""Reading, writing and converting pictures."""
